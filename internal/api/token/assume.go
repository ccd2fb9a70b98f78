package token

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/iam/temporary"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

// The bounds of AssumeRole.
const (
	leastRole   = 900    // seconds
	usualRole   = 3_600  // also the most when a role takes on another
	longestRole = 43_200 // that a role may allow
	maxTags     = 50
	maxPolicies = 10
	maxPolicy   = 2_048 // characters
)

var assumeRules = map[string]query.Rule{
	"RoleArn":         {Min: 20, Max: 2048, Pattern: regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:role/[!-~]+$`)},
	"RoleSessionName": {Min: 2, Max: 64, Pattern: regexp.MustCompile(`^[\w+=,.@-]*$`)},
	"ExternalId":      {Min: 2, Max: 1224, Pattern: regexp.MustCompile(`^[\w+=,.@:/-]*$`)},
	"Policy":          {Min: 1, Pattern: regexp.MustCompile(`^[\t\n\r -\x{FF}]+$`)},
	"DurationSeconds": {Number: true, Min: leastRole, Max: longestRole},
}

// unsupported are parameters that would change who the session is. Nothing may look as if
// they had been heeded.
var unsupported = []string{"TransitiveTagKeys", "SourceIdentity", "ProvidedContexts"}

// wish is what a caller of AssumeRole asks for.
type wish struct {
	arn, session, external string
	policy                 string   // inline session policy
	managed                []string // ARNs of managed policies
	tags                   map[string]string
	seconds                int
}

func readWish(f query.Form) (w wish, err error) {
	if err := f.Check([]string{"RoleArn", "RoleSessionName"}, assumeRules); err != nil {
		return w, err
	}
	for key := range f.Values {
		name, _, _ := strings.Cut(key, ".")
		for _, u := range unsupported {
			if name == u {
				return w, kvs.Errorf(kvs.Validation, "%s is not supported.", u)
			}
		}
	}
	if err := noMFA(f); err != nil {
		return w, err
	}
	w = wish{arn: f.Get("RoleArn"), session: f.Get("RoleSessionName"), external: f.Get("ExternalId"), policy: f.Get("Policy"),
		seconds: f.Int("DurationSeconds", usualRole)}
	for _, m := range f.Members("PolicyArns") {
		w.managed = append(w.managed, m.Get("arn"))
	}
	if len(w.managed) > maxPolicies {
		return w, kvs.Errorf(kvs.Validation, "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicies)
	}
	return w, w.readTags(f.Tags("Tags"))
}

func (w *wish) readTags(tags []query.Tag) error {
	if len(tags) > maxTags {
		return kvs.Errorf(kvs.Validation, "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", maxTags)
	}
	seen := map[string]bool{}
	for _, t := range tags {
		if err := naming.CheckTag(t.Key, t.Value); err != nil {
			return err
		}
		if folded := strings.ToLower(t.Key); seen[folded] {
			return kvs.Errorf(kvs.Validation, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		} else {
			seen[folded] = true
		}
		if w.tags == nil {
			w.tags = map[string]string{}
		}
		w.tags[t.Key] = t.Value
	}
	return nil
}

// Lookup returns the condition keys of the call.
func (w *wish) Lookup(key string) ([]string, bool) {
	switch key {
	case "sts:rolesessionname":
		return []string{w.session}, true
	case "sts:externalid":
		return []string{w.external}, w.external != ""
	case "aws:tagkeys":
		var names []string
		for name := range w.tags {
			names = append(names, name)
		}
		return names, names != nil
	}
	if name, ok := strings.CutPrefix(key, "aws:requesttag/"); ok {
		for tag, value := range w.tags {
			if strings.ToLower(tag) == name {
				return []string{value}, true
			}
		}
	}
	return nil, false
}

// assumeRole gives the caller credentials of a role, if its own policies and the trust
// policy of the role say so.
func (s *service) assumeRole(ctx context.Context, c *api.Call, f query.Form) (any, error) {
	w, err := readWish(f)
	if err != nil {
		return nil, err
	}
	if c.Principal.Kind == kvs.RootPrincipal {
		return nil, kvs.Errorf(kvs.Denied, "Roles may not be assumed by root accounts.")
	}
	role, err := s.allowed(ctx, c, &w)
	if err != nil {
		return nil, err
	}
	if err := w.checkLife(&c.Principal, role); err != nil {
		return nil, err
	}
	g := temporary.Grant{Account: role.Account, Kind: kvs.RolePrincipal, ID: role.ID, Session: w.session, Tags: w.tags,
		Life: time.Duration(w.seconds) * time.Second}
	if g.SessionPolicies, err = s.policies(ctx, &w, role.Account); err != nil {
		return nil, err
	}
	made, err := s.Credentials.Mint(ctx, g)
	if err != nil {
		return nil, err
	}
	return s.assumed(role, w, made), nil
}

func (s *service) assumed(role directory.Role, w wish, made temporary.Credentials) any {
	type user struct {
		AssumedRoleID string `xml:"AssumedRoleId"`
		Arn           string
	}
	answer := struct {
		Credentials      credentials
		AssumedRoleUser  user
		PackedPolicySize *int
	}{Credentials: s.shown(made), AssumedRoleUser: user{role.ID + ":" + w.session,
		"arn:aws:sts::" + string(role.Account) + ":assumed-role/" + role.Name + "/" + w.session}}
	if w.policy != "" || w.managed != nil || w.tags != nil {
		answer.PackedPolicySize = &made.Packed
	}
	return answer
}

// checkLife holds the length of the session to what the role allows, and to an hour for a
// role that takes on another.
func (w *wish) checkLife(caller *kvs.Principal, role directory.Role) error {
	switch {
	case caller.Kind == kvs.RolePrincipal && w.seconds > usualRole:
		return kvs.Errorf(kvs.Validation, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case time.Duration(w.seconds)*time.Second > role.MaxSession:
		return kvs.Errorf(kvs.Validation, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return nil
}

// policies keeps the session policies and returns what the token carries of them.
func (s *service) policies(ctx context.Context, w *wish, account kvs.AccountID) (hashes []string, err error) {
	if w.policy != "" {
		hash, err := s.Directory.KeepSessionPolicy(ctx, w.policy)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	for _, arn := range w.managed {
		p, err := s.Directory.Policy(ctx, account, arn)
		if err != nil {
			if kvs.KindOf(err) == kvs.NotFound || kvs.KindOf(err) == kvs.InvalidArgument {
				err = kvs.Errorf(kvs.Validation, "PolicyArns: there is no managed policy %.2048s in the account of the role.", arn)
			}
			return nil, err
		}
		hashes = append(hashes, p.ID)
	}
	return hashes, nil
}
