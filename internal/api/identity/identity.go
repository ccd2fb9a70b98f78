// Package identity serves IAM, the API by which users, groups, roles, policies and access keys
// are made and changed, as far as tutorials and common tools use it (version 2010-05-08).
//
// It speaks the words of the original: parameters, answers and errors are those of IAM, and
// where they cannot be, docs/ref/aws-differences.md says so. What is kept and decided is not
// here: package directory has the entities, package policy the rules. Calls come from many
// goroutines.
package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

// Options are what the service is made of. All are needed.
type Options struct {
	Directory *directory.Directory
	Keys      *iam.Store
	MarkerKey []byte // secret, for the markers of lists
}

// service has the actions as methods.
type service struct {
	Options
	markers markers
}

// request is one call with its parameters, which fit the rules.
type request struct {
	query.Form
	*api.Call
	action string
}

// account is whose entities the call is about.
func (r *request) account() kvs.AccountID { return r.Principal.Account }

// action is one operation of IAM.
type action struct {
	name   string
	needs  string // parameters that must be given, separated by spaces
	takes  string // parameters that may be given; all others are not even seen
	target target
	call   func(ctx context.Context, s *service, r *request) (any, error)
}

// target says what a call is about, see [api.QueryAction].
type target func(ctx context.Context, s *service, r *request) (api.QueryTarget, error)

// Service makes IAM known to the front.
func Service(o Options) api.QueryService {
	s := &service{Options: o, markers: markers{o.MarkerKey}}
	q := api.QueryService{Name: "iam", Version: "2010-05-08", Namespace: "https://iam.amazonaws.com/doc/2010-05-08/"}
	for _, a := range actions() {
		q.Actions = append(q.Actions, s.served(a))
	}
	return q
}

// actions are all operations that are served.
func actions() []action {
	all := slices.Concat(userActions(), groupActions(), roleActions(), policyActions(), versionActions(), keyActions(),
		boundaryActions(), tagActions(), simulationActions(), accountActions())
	for _, o := range owners {
		all = append(all, o.inlineActions()...)
		all = append(all, o.attachedActions()...)
	}
	slices.SortFunc(all, func(a, b action) int { return strings.Compare(a.name, b.name) })
	return all
}

// served is an action as the front takes it.
func (s *service) served(a action) api.QueryAction {
	needs := strings.Fields(a.needs)
	known := append(strings.Fields(a.takes), needs...)
	return api.QueryAction{
		Name: a.name,
		Target: func(ctx context.Context, c *api.Call, f query.Form) (api.QueryTarget, error) {
			r := &request{f.Only(known), c, a.name}
			if err := r.Check(needs, rules); err != nil {
				return api.QueryTarget{}, err
			}
			return a.target(ctx, s, r)
		},
		Call: func(ctx context.Context, c *api.Call, f query.Form) (any, error) {
			return a.call(ctx, s, &request{f.Only(known), c, a.name})
		},
	}
}
