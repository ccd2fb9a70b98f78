package policy

import (
	"slices"
	"strings"
)

// Who is the caller as Principal elements see it. The zero value is nobody that a policy
// could name; it matches "*" only.
type Who struct {
	Account   string // twelve digits
	ARN       string // of a user, of the session of an assumed role, of an account's root
	ID        string // unique id of the user or role
	RoleARN   string // of the role whose session this is
	Service   string // a service, such as credentials.iot.amazonaws.com, instead of an account's principal
	Federated string // an identity provider that vouches for the caller, instead of an account's principal
	Anonymous bool   // nobody has signed
}

// principals are those that a Principal or NotPrincipal element names.
type principals struct {
	everybody bool
	accounts  []string // each stands for everybody in it
	named     []string // ARNs and unique ids
	services  []string
	federated []string
}

// reach is how a principal element got at a caller.
type reach uint8

const (
	unreached reach = iota
	inGeneral       // through "*" or through the account
	byName          // through its own ARN or unique id, or as service or provider
)

func (p *principals) reach(w *Who) reach {
	switch {
	case w.Service != "" && slices.Contains(p.services, w.Service),
		w.Federated != "" && slices.Contains(p.federated, w.Federated):
		return byName
	case w.Service == "" && w.Federated == "" && !w.Anonymous:
		for _, one := range [...]string{w.ID, w.ARN, w.RoleARN} {
			if one != "" && slices.Contains(p.named, one) {
				return byName
			}
		}
		if w.Account != "" && slices.Contains(p.accounts, w.Account) {
			return inGeneral
		}
	}
	if p.everybody {
		return inGeneral
	}
	return unreached
}

// principalTypes are the members a Principal may have.
var principalTypes = []string{"AWS", "Service", "Federated"}

func (p *parser) principals(n node) (*principals, *Error) {
	found := &principals{}
	if n.kind == textNode && n.text == "*" {
		found.everybody = true
		return found, nil
	}
	if n.kind != objectNode || len(n.members) == 0 {
		return nil, p.refuse(n, `a principal is "*" or an object such as {"AWS": "arn:aws:iam::111122223333:user/anna"}`)
	}
	for _, m := range n.members {
		if !slices.Contains(principalTypes, m.name) {
			return nil, p.refuseMember(m, "%s is no type of principal; write %s", quoted(m.name), oneOf(principalTypes...))
		}
		texts, err := p.texts(m.value)
		if err != nil {
			return nil, err
		}
		for _, one := range texts {
			if reason := found.add(m.name, one.text); reason != "" {
				return nil, p.refuse(one, "%s", reason)
			}
			p.doc.named = append(p.doc.named, span{one.start, one.end, m.name, one.text})
		}
	}
	return found, nil
}

// add takes one name of a type of principal. The reason is what is wrong with it, or "".
func (p *principals) add(kind, name string) (reason string) {
	switch {
	case name == "*" && kind == "AWS":
		p.everybody = true
	case name == "" || strings.ContainsAny(name, "*? "):
		return quoted(name) + " is no principal; wildcards and spaces are not part of names, everybody is \"*\" alone"
	case kind == "Service":
		p.services = append(p.services, name)
	case kind == "Federated":
		p.federated = append(p.federated, name)
	default:
		return p.addAWS(name)
	}
	return ""
}

func (p *principals) addAWS(name string) (reason string) {
	if isAccount(name) {
		p.accounts = append(p.accounts, name)
		return ""
	}
	if isUniqueID(name) {
		p.named = append(p.named, name)
		return ""
	}
	a := splitARN(name)
	kind, rest, _ := strings.Cut(a.parts[5], "/")
	service := a.parts[2]
	switch {
	case !a.ok || a.parts[0] != "arn" || a.parts[3] != "" || !isAccount(a.parts[4]):
	case service == "iam" && a.parts[5] == "root":
		p.accounts = append(p.accounts, a.parts[4])
		return ""
	case service == "iam" && (kind == "user" || kind == "role") && rest != "",
		service == "sts" && kind == "assumed-role" && strings.Contains(rest, "/"):
		p.named = append(p.named, name)
		return ""
	}
	return quoted(name) + ` is no principal; write "*", an account of twelve digits, or the ARN of an account's root, a user, a role or an assumed role`
}

// isAccount says whether a text is the number of an account.
func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// isUniqueID says whether a text is the unique id of a user or role.
func isUniqueID(s string) bool {
	return (strings.HasPrefix(s, "AIDA") || strings.HasPrefix(s, "AROA")) && len(s) >= 16 && len(s) <= 128 &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}
