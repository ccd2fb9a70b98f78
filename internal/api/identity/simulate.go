package identity

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/query"
)

func simulationActions() []action {
	const takes = "PolicyInputList PermissionsBoundaryPolicyInputList ActionNames ResourceArns ResourcePolicy ResourceOwner CallerArn ContextEntries ResourceHandlingOption Marker MaxItems"
	return []action{
		{name: "SimulatePrincipalPolicy", needs: "PolicySourceArn", takes: takes, target: aSource, call: simulatePrincipalPolicy},
		{name: "SimulateCustomPolicy", takes: takes, target: anything, call: simulateCustomPolicy},
	}
}

// aSource is the target of a simulation: the user, group or role whose policies are asked.
func aSource(_ context.Context, _ *service, r *request) (api.QueryTarget, error) {
	n, err := r.source()
	if err != nil {
		return api.QueryTarget{}, err
	}
	return api.QueryTarget{Resource: n.ARN()}, nil
}

// source is whose policies are asked.
func (r *request) source() (naming.Name, error) {
	n, ok := naming.ParseARN(r.Get("PolicySourceArn"))
	if !ok || n.Kind == naming.Policy {
		return n, kvs.Errorf(kvs.InvalidArgument, "Invalid Entity Arn: %.200s does not clearly define entity type and name.", r.Get("PolicySourceArn"))
	}
	return n, nil
}

type simulationResult struct {
	EvaluationResults query.List[evaluationShape]
	page
}

type evaluationShape struct {
	EvalActionName                    string
	EvalResourceName                  string
	EvalDecision                      string
	MatchedStatements                 query.List[matchShape]
	MissingContextValues              query.List[string]
	PermissionsBoundaryDecisionDetail *boundaryDecision `xml:",omitempty"`
}

type boundaryDecision struct{ AllowedByPermissionsBoundary bool }

type matchShape struct {
	SourcePolicyID   string `xml:"SourcePolicyId"`
	SourcePolicyType string
	StartPosition    policy.Position
	EndPosition      policy.Position
}

func simulateCustomPolicy(_ context.Context, s *service, r *request) (any, error) {
	if len(r.Members("PolicyInputList")) == 0 {
		return nil, kvs.Errorf(kvs.Validation, "1 validation error detected: Value null at 'policyInputList' failed to satisfy constraint: Member must not be null")
	}
	return s.simulate(r, &simulation{set: &policy.Set{}, who: r.customCaller()})
}

// customCaller is who is asked about when policies alone are given.
func (r *request) customCaller() policy.Who {
	return policy.Who{Account: string(r.account()), ARN: r.Get("CallerArn")}
}

func simulatePrincipalPolicy(ctx context.Context, s *service, r *request) (any, error) {
	n, err := r.source()
	if err != nil {
		return nil, err
	}
	sim, err := s.simulation(ctx, r, n)
	if err != nil {
		return nil, err
	}
	return s.simulate(r, sim)
}

// simulation is whom and what policies are asked about.
type simulation struct {
	set  *policy.Set
	who  policy.Who
	keys policy.MapKeys
}

// simulation finds the policies of a user, group or role of the caller's account.
func (s *service) simulation(ctx context.Context, r *request, n naming.Name) (*simulation, error) {
	p := kvs.Principal{Account: r.account(), ARN: n.ARN(), Name: n.Name, Path: n.Path}
	who := policy.Who{Account: string(r.account()), ARN: n.ARN()}
	var found string // full name, whose path may be another one
	var err error
	switch {
	case n.Account != r.account():
		return nil, kvs.Errorf(kvs.NotFound, "The %s with name %s cannot be found.", n.Kind, n.Name)
	case n.Kind == naming.Group:
		return s.groupSimulation(ctx, r, n)
	case n.Kind == naming.User:
		u, e := s.Directory.User(ctx, r.account(), n.Name)
		p.Kind, p.ID, found, err = kvs.UserPrincipal, u.ID, u.ARN(), e
	default:
		o, e := s.Directory.Role(ctx, r.account(), n.Name)
		p.Kind, p.ID, found, err = kvs.RolePrincipal, o.ID, o.ARN(), e
		who.RoleARN = n.ARN()
	}
	if err == nil && found != n.ARN() {
		err = kvs.Errorf(kvs.NotFound, "The %s with name %s cannot be found.", n.Kind, n.Name)
	}
	if err != nil {
		return nil, err
	}
	who.ID = p.ID
	set, err := s.Directory.Rights(ctx, p)
	if err != nil {
		return nil, err
	}
	tags, err := s.Directory.PrincipalTags(ctx, p)
	if err != nil {
		return nil, err
	}
	keys := principalKeys(p)
	for key, value := range tags {
		keys.Add("aws:PrincipalTag/"+key, value)
	}
	own := *set // the one of the directory is shared
	return &simulation{&own, who, keys}, nil
}

// principalKeys are the condition keys that follow from whom is asked about.
func principalKeys(p kvs.Principal) policy.MapKeys {
	keys := policy.MapKeys{}
	keys.Add("aws:PrincipalArn", p.ARN)
	keys.Add("aws:PrincipalAccount", string(p.Account))
	if p.Kind == kvs.UserPrincipal {
		keys.Add("aws:username", p.Name)
		keys.Add("aws:userid", p.ID)
		keys.Add("aws:PrincipalType", "User")
	} else {
		keys.Add("aws:PrincipalType", "AssumedRole")
	}
	return keys
}

// groupSimulation has the policies of a group alone.
func (s *service) groupSimulation(ctx context.Context, r *request, n naming.Name) (*simulation, error) {
	g, err := s.Directory.Group(ctx, r.account(), n.Name)
	if err == nil && g.ARN() != n.ARN() {
		err = kvs.Errorf(kvs.NotFound, "The %s with name %s cannot be found.", n.Kind, n.Name)
	}
	if err != nil {
		return nil, err
	}
	set := &policy.Set{}
	add := func(name, text string) error {
		doc, err := policy.Parse(policy.Identity, []byte(text))
		if err == nil {
			set.Identity = append(set.Identity, policy.Source{Name: name, Document: doc})
		}
		return err
	}
	names, _, err := s.Directory.ListInline(ctx, r.account(), g.Owner(), "", maxPolicies)
	for _, name := range names {
		text, e := s.Directory.GetInline(ctx, r.account(), g.Owner(), name)
		err = errors.Join(err, e, add("group/"+g.Name+" inline "+name, text))
	}
	attached, _, e := s.Directory.AttachedTo(ctx, r.account(), g.Owner(), "", "", maxPolicies)
	err = errors.Join(err, e)
	for _, p := range attached {
		v, e := s.Directory.Version(ctx, r.account(), p.ARN, "")
		err = errors.Join(err, e, add("group/"+g.Name+" managed "+p.ARN, v.Text))
	}
	return &simulation{set, policy.Who{}, policy.MapKeys{}}, err
}

// maxPolicies is more than anybody has: their sizes together are bounded.
const maxPolicies = 1000

// maxResults bounds a page of results: the policies of the request may be long, and each is
// looked at for each of them.
const maxResults = 100

// simulate answers a page: each action with each resource is one result.
func (s *service) simulate(r *request, sim *simulation) (any, error) {
	if r.Given("ResourcePolicy") {
		return nil, kvs.Errorf(kvs.InvalidArgument, "ResourcePolicy: streams and channels have no policies of their own; leave it out.")
	}
	if err := sim.bring(r); err != nil {
		return nil, err
	}
	actions, resources := r.Texts("ActionNames"), r.Texts("ResourceArns")
	if len(actions) == 0 {
		return nil, kvs.Errorf(kvs.Validation, "1 validation error detected: Value null at 'actionNames' failed to satisfy constraint: Member must not be null")
	}
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	results, p, err := listed(s, r, func(after string, most int) ([]evaluationShape, string, error) {
		first, _ := strconv.Atoi(after)
		last := min(first+min(most, maxResults), len(actions)*len(resources))
		var some []evaluationShape
		for i := first; i < last; i++ {
			some = append(some, sim.evaluate(actions[i/len(resources)], resources[i%len(resources)]))
		}
		if last == len(actions)*len(resources) {
			return some, "", nil
		}
		return some, strconv.Itoa(last), nil
	})
	return simulationResult{query.List[evaluationShape]{Member: results}, p}, err
}

// bring adds what the request itself brings: policies, boundaries and condition keys.
func (sim *simulation) bring(r *request) error {
	identity, err := documents(r, "PolicyInputList")
	if err != nil {
		return err
	}
	sim.set.Identity = append(sim.set.Identity[:len(sim.set.Identity):len(sim.set.Identity)], identity...)
	bounds, err := documents(r, "PermissionsBoundaryPolicyInputList")
	if err != nil {
		return err
	}
	if len(bounds) > 1 {
		return kvs.Errorf(kvs.InvalidArgument, "PermissionsBoundaryPolicyInputList may have one policy.")
	}
	if len(bounds) == 1 {
		sim.set.Boundary = &bounds[0]
	}
	if sim.keys == nil {
		sim.keys = policy.MapKeys{}
	}
	for _, e := range r.Members("ContextEntries") {
		name := e.Get("ContextKeyName")
		delete(sim.keys, strings.ToLower(name))
		sim.keys.Add(name, e.Texts("ContextKeyValues")...)
	}
	return nil
}

// documents are the policies in a list.
func documents(r *request, list string) (all []policy.Source, err error) {
	for i, text := range r.Texts(list) {
		doc, err := policy.Parse(policy.Identity, []byte(text))
		if err != nil {
			return nil, kvs.Errorf(kvs.InvalidArgument, "%s.member.%d: %s", list, i+1, err)
		}
		all = append(all, policy.Source{Name: fmt.Sprintf("%s.%d", list, i+1), Document: doc})
	}
	return all, nil
}

func (sim *simulation) evaluate(action, resource string) evaluationShape {
	x := policy.Explain(&policy.Request{Principal: sim.who, Action: action, Resource: resource, Keys: sim.keys}, sim.set)
	e := evaluationShape{EvalActionName: action, EvalResourceName: resource, EvalDecision: "implicitDeny"}
	switch {
	case x.Decision.Allowed:
		e.EvalDecision = "allowed"
	case x.Decision.Because.Verdict == policy.ExplicitDeny:
		e.EvalDecision = "explicitDeny"
	}
	e.MissingContextValues.Member = x.Missing
	for _, l := range x.Layers {
		if l.Layer == policy.BoundaryLayer {
			e.PermissionsBoundaryDecisionDetail = &boundaryDecision{l.Says == "allows"}
		}
		for _, source := range l.Sources {
			e.MatchedStatements.Member = append(e.MatchedStatements.Member, matches(source)...)
		}
	}
	return e
}

// matches are the statements of a policy that matched.
func matches(source policy.SourceExplanation) (all []matchShape) {
	id, kind := sourcePolicy(source.Name)
	for _, one := range source.Statements {
		if one.Matched {
			all = append(all, matchShape{id, kind, one.Start, one.End})
		}
	}
	return all
}

// sourcePolicy is the name and type that IAM gives a policy in a simulation.
func sourcePolicy(name string) (id, kind string) {
	if _, arn, ok := strings.Cut(name, "managed "); ok {
		n, _ := naming.ParseARN(arn)
		if n.Account == naming.AWS {
			return n.Name, "aws-managed"
		}
		return n.Name, "user-managed"
	}
	if whose, inline, ok := strings.Cut(name, " inline "); ok {
		kind, owner, _ := strings.Cut(whose, "/")
		return kind + "_" + owner + "_" + inline, kind
	}
	return name, "none"
}
