package policy

import "strings"

// arnParts is how many parts an ARN has: arn, partition, service, region, account, resource.
const arnParts = 6

// arnPattern describes resources: all of them, or ARNs part by part, so that a * never
// reaches over a colon but in the last part.
type arnPattern struct {
	every bool
	parts [arnParts]pattern
}

const arnForm = "* or an ARN of six parts, arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE"

// parseARNPattern cuts a pattern at its first five colons that do not stand in a variable.
func parseARNPattern(text string, g grammar) (a arnPattern, reason string) {
	whole, reason := parsePattern(text, g)
	if reason != "" {
		return a, reason
	}
	if whole.lone() {
		return arnPattern{every: true}, ""
	}
	part := 0
	for _, one := range whole.pieces {
		for one.kind == literal && part < arnParts-1 {
			before, after, colon := strings.Cut(one.text, ":")
			if !colon {
				break
			}
			if before != "" {
				a.parts[part].add(piece{text: before})
			}
			part++
			one.text = after
		}
		if one.kind != literal || one.text != "" {
			a.parts[part].add(one)
			a.parts[part].variables = a.parts[part].variables || one.kind == variable
		}
	}
	first := a.parts[0].pieces
	if part < arnParts-1 || len(first) != 1 || first[0].kind != literal || first[0].text != "arn" || len(a.parts[arnParts-1].pieces) == 0 {
		return a, quoted(text) + " is no resource; write " + arnForm
	}
	return a, ""
}

// arn is a resource cut into its parts.
type arn struct {
	parts [arnParts]string
	ok    bool // it has six
}

func splitARN(text string) (a arn) {
	for i := range arnParts - 1 {
		var colon bool
		if a.parts[i], text, colon = strings.Cut(text, ":"); !colon {
			return arn{}
		}
	}
	a.parts[arnParts-1], a.ok = text, true
	return a
}

// outcome is what comparing gives.
type outcome uint8

const (
	no     outcome = iota
	yes            // it matches
	unsaid         // a variable has no value, so nobody can say
)

func outcomeOf(b bool) outcome {
	if b {
		return yes
	}
	return no
}

// matchARN compares a resource with a pattern, the last part first, since it says most.
// All variables are looked up even when a part has failed, so that the outcome unsaid does
// not depend on the resource.
func (e *evaluation) matchARN(p *arnPattern, a *arn) outcome {
	if p.every {
		return yes
	}
	fits := a.ok
	for i := arnParts - 1; i >= 0; i-- {
		part := &p.parts[i]
		if !fits && !part.variables {
			continue
		}
		pieces, ok := e.resolve(part)
		if !ok {
			return unsaid
		}
		fits = fits && matches(pieces, a.parts[i])
	}
	return outcomeOf(fits)
}
