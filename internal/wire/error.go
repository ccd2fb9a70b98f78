package wire

import (
	"fmt"
	"unicode/utf8"
)

// CheckError says that a member of an input breaks a rule of the model. The doors
// answer InvalidArgumentException.
type CheckError struct {
	// Member is the path of the member: "StreamName", "Tags[2].Key".
	Member string
	// Value is what was given, shortened; "null" when it is missing, stars when the
	// model calls it sensitive.
	Value string
	// Rule says what would be right.
	Rule string
}

// Error names member, value and rule.
func (e *CheckError) Error() string {
	return fmt.Sprintf("1 validation error detected: Value %s at '%s' failed to satisfy constraint: %s",
		e.Value, e.Member, e.Rule)
}

// in returns the error as seen from the structure or list that holds the member.
func (e *CheckError) in(parent string) *CheckError {
	switch {
	case e == nil:
		return nil
	case e.Member == "":
		e.Member = parent
	case e.Member[0] == '[':
		e.Member = parent + e.Member
	default:
		e.Member = parent + "." + e.Member
	}
	return e
}

// broken makes an error about the value itself; its holder adds the name.
func broken(value, rule string, args ...any) *CheckError {
	return &CheckError{Value: value, Rule: fmt.Sprintf(rule, args...)}
}

// missing is the error about a required member that is not there.
func missing(name string) *CheckError {
	return &CheckError{Member: name, Value: "null", Rule: "Member must not be null"}
}

// shown is how many bytes of a value an error repeats.
const shown = 100

// quoted is a value as errors show it.
func quoted(s string) string { return "'" + shorten(s) + "'" }

func shorten(s string) string {
	if len(s) <= shown {
		return s
	}
	end := shown
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// SyntaxError says that a body is not a JSON object. The real service calls this
// SerializationException; the status is 400.
type SyntaxError struct {
	Offset int64 // byte of the body at which reading failed
	Reason string
}

// Error says what was wrong and where.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("the body is not a JSON object: %s (byte %d)", e.Reason, e.Offset)
}
