package authority

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// keys are the condition keys of a question. Values are looked up when a policy names them.
type keys struct {
	ctx  context.Context
	ask  *Ask
	tags func(ctx context.Context, p kvs.Principal) (map[string]string, error)
	err  error // of the look-up of tags

	// Values that are one text lie here, each in a place of its own: the decision may hold
	// several at a time.
	texts [8]string
	used  int
}

// one is a key with one value; empty ones are absent.
func (k *keys) one(v string) ([]string, bool) {
	if v == "" {
		return nil, false
	}
	if k.used == len(k.texts) {
		return []string{v}, true
	}
	k.texts[k.used] = v
	k.used++
	return k.texts[k.used-1 : k.used : k.used], true
}

// Lookup implements policy.Keys.
func (k *keys) Lookup(key string) ([]string, bool) {
	service, name, _ := strings.Cut(key, ":")
	switch service {
	case "aws":
		if v, known := k.request(name); known {
			return k.one(v)
		}
		if group, tag, ok := strings.Cut(name, "/"); ok && (group == "resourcetag" || group == "principaltag") {
			return k.tag(group, tag)
		}
		if v, known := k.principal(name); known {
			return k.one(v)
		}
	case "credentials-iot":
		return k.one(k.device(name))
	case "millrace":
		if name == "listener" {
			return k.one(k.ask.Request.Listener)
		}
	}
	if k.ask.Keys == nil {
		return nil, false
	}
	return k.ask.Keys.Lookup(key)
}

// request returns a global key about the request.
func (k *keys) request(name string) (value string, known bool) {
	r := &k.ask.Request
	switch name {
	case "currenttime":
		return r.Time.UTC().Format(time.RFC3339), true
	case "epochtime":
		return strconv.FormatInt(r.Time.Unix(), 10), true
	case "securetransport":
		return strconv.FormatBool(r.Secure), true
	case "sourceip":
		if !r.Source.IsValid() {
			return "", true
		}
		return r.Source.String(), true
	case "useragent":
		return r.UserAgent, true
	case "referer":
		return r.Referer, true
	case "requestedregion":
		return r.Region, true
	case "resourceaccount":
		return string(k.ask.Owner), true
	}
	return "", false
}

// principal returns a global key about the caller; an anonymous one has none.
func (k *keys) principal(name string) (value string, known bool) {
	p := k.ask.Principal
	if p.Kind == kvs.Anonymous {
		return "", false
	}
	switch name {
	case "principalarn":
		return p.RoleARN(), true
	case "principalaccount":
		return string(p.Account), true
	case "principaltype":
		return map[kvs.PrincipalKind]string{kvs.RootPrincipal: "Account", kvs.UserPrincipal: "User", kvs.RolePrincipal: "AssumedRole"}[p.Kind], true
	case "principalisawsservice":
		return "false", true
	case "userid":
		if p.Kind == kvs.RolePrincipal {
			return p.ID + ":" + p.Session, true
		}
		return p.ID, true
	case "username":
		if p.Kind == kvs.UserPrincipal {
			return p.Name, true
		}
		return "", true
	}
	if !p.Temporary() {
		return "", false
	}
	switch name {
	case "tokenissuetime":
		return p.Issued.Time().Format(time.RFC3339), true
	case "multifactorauthpresent":
		return "false", true
	}
	return "", false
}

// device returns a key of credentials that a certificate got.
func (k *keys) device(name string) string {
	p := k.ask.Principal
	switch name {
	case "thingname":
		return p.Thing
	case "awscertificateid":
		return p.Certificate
	case "thingtypename":
		return p.ThingType
	}
	return ""
}

// tag returns a tag of the resource, or of the principal: that of its session, else that of
// the user or role.
func (k *keys) tag(group, name string) ([]string, bool) {
	if group == "resourcetag" {
		return tagged(k.ask.Tags, name)
	}
	p := k.ask.Principal
	if p.Kind == kvs.Anonymous {
		return nil, false
	}
	if values, found := tagged(p.Tags, name); found {
		return values, true
	}
	if p.Kind == kvs.RootPrincipal {
		return nil, false
	}
	all, err := k.tags(k.ctx, *p)
	if err != nil {
		k.err = err
	}
	return tagged(all, name)
}

// tagged returns the values of a tag, whose name is in lower case. Names of tags have no case
// in conditions, so there may be several; they come in the order of their names. Names are
// the same that are in lower case, as everywhere: strings.EqualFold takes more for the same.
func tagged(tags map[string]string, name string) (values []string, found bool) {
	var names []string
	for key, value := range tags {
		if strings.ToLower(key) == name {
			names, values = append(names, key), append(values, value)
		}
	}
	if len(names) > 1 {
		slices.Sort(names)
		for i, key := range names {
			values[i] = tags[key]
		}
	}
	return values, values != nil
}
