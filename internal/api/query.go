package api

import (
	"context"
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// QueryService is a service of the Query protocol, IAM or STS. Its calls are POST / with a
// form; that the signature is scoped to its name leads them to it.
type QueryService struct {
	Name      string // as credential scopes and actions have it: iam
	Version   string // the only one: 2010-05-08
	Namespace string // of the answers
	Actions   []QueryAction
}

// QueryAction is one operation of such a service. The permission it needs is SERVICE:NAME.
type QueryAction struct {
	Name string

	// Free says that whoever is known may call it: it asks for permission itself, or needs none.
	Free bool

	// Target says what the call is about; nil = "*" without keys. Its errors end the call.
	Target func(ctx context.Context, c *Call, f query.Form) (QueryTarget, error)

	// Call does the work and returns a structure for encoding/xml, or nil for none.
	Call func(ctx context.Context, c *Call, f query.Form) (any, error)

	// Faults are codes that stand in for those that the action's kinds of error usually have.
	Faults map[kvs.Kind]query.Fault
}

// QueryTarget is what a call of the Query protocol is about, for policies.
type QueryTarget struct {
	Resource string              // ARN or *
	Shown    string              // as the caller named it; "" = Resource
	Owner    kvs.AccountID       // of the resource; "" = it is not there, or is none
	Tags     map[string]string   // of the resource
	Keys     map[string][]string // condition keys in small letters; nil = none
}

// queryAction is an action as the front keeps it.
type queryAction struct {
	*QueryAction
	service   *QueryService
	operation *wire.Operation
	limit     *quota.Operation
}

// queryService is a service with its actions by name.
type queryService struct {
	*QueryService
	actions map[string]queryAction
}

// unknownQuery stands for every call of the Query protocol whose action is not known, or not
// yet, so that strangers cannot make up names in the measurements.
var unknownQuery = queryOperation("unknown")

func queryOperation(name string) *wire.Operation {
	return &wire.Operation{Name: name, Method: http.MethodPost, Path: "/", Input: func() wire.Input { return nil }}
}

// undecided is the call of which nobody knows yet whom it is for: what goes wrong is said in
// the name of IAM.
var undecided = queryAction{service: &QueryService{Namespace: "https://iam.amazonaws.com/doc/2010-05-08/"}, operation: unknownQuery}

func queryServices(services []QueryService) map[string]queryService {
	all := map[string]queryService{}
	for i := range services {
		s := queryService{&services[i], map[string]queryAction{}}
		for j := range s.Actions {
			a := &s.Actions[j]
			name := s.Name + ":" + a.Name
			s.actions[a.Name] = queryAction{a, s.QueryService, queryOperation(name), quota.OperationOf(name)}
		}
		all[s.Name] = s
	}
	return all
}

// isQuery reports whether a request is a call of the Query protocol.
func isQuery(r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.EscapedPath() != "/" {
		return false
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// serveQuery takes a call of the Query protocol through the steps of every other.
func (f *Front) serveQuery(ctx context.Context, c *Call) error {
	c.Operation, c.query = undecided.operation, undecided
	if err := f.identifyQuery(ctx, c); err != nil {
		return err
	}
	form, err := query.Parse(c.body)
	if err != nil {
		return err
	}
	a, err := f.queryAction(c, form)
	if err != nil {
		return err
	}
	c.Operation, c.query, c.limits, c.limit = a.operation, a, f.o.Limits, a.limit
	if err := f.authorizeQuery(ctx, c, a, form); err != nil {
		return err
	}
	if err := c.allow(); err != nil {
		return err
	}
	if err := f.befall(ctx, c); err != nil {
		return err
	}
	result, err := a.Call(ctx, c, form)
	if err != nil {
		return err
	}
	text, err := query.Answer(a.service.Namespace, a.Name, c.ID, result)
	if err != nil {
		return err
	}
	c.send(query.ContentType, http.StatusOK, text)
	return nil
}

// identifyQuery verifies the signature, for the service that it is scoped to. Those of IAM
// and STS are also signed for us-east-1, wherever the server is: clients take both services
// for global.
func (f *Front) identifyQuery(ctx context.Context, c *Call) error {
	rules := f.o.Rules()
	rules.Services = slices.Sorted(maps.Keys(f.queries))
	if len(rules.Regions) > 0 {
		rules.Regions = append(slices.Clip(rules.Regions), "us-east-1")
	}
	who, err := f.claim(ctx, c.Request, rules)
	if err != nil {
		return err
	}
	c.query.service = f.queries[who.auth.Service].QueryService
	if err := c.readBody(); err != nil {
		return err
	}
	return f.verify(ctx, c, who, sigv4.Body(c.body))
}

// queryAction is the action that a form names.
func (f *Front) queryAction(c *Call, form query.Form) (queryAction, error) {
	s := c.query.service
	name, version := form.Get("Action"), form.Get("Version")
	a, ok := f.queries[s.Name].actions[name]
	if !ok || version != s.Version {
		return a, kvs.Errorf(kvs.NotImplemented, "Could not find operation %.64s for version %.16s. docs/ref/coverage.md lists what is served, of version %s.", name, version, s.Version)
	}
	return a, nil
}

// authorizeQuery asks whether the caller may.
func (f *Front) authorizeQuery(ctx context.Context, c *Call, a queryAction, form query.Form) error {
	if a.Free {
		return nil
	}
	t := QueryTarget{Resource: "*"}
	if a.Target != nil {
		var err error
		if t, err = a.Target(ctx, c, form); err != nil {
			return err
		}
	}
	ask := c.question(kvs.Action(a.operation.Name))
	ask.Resource, ask.Shown, ask.Owner, ask.Tags, ask.Keys = t.Resource, t.Shown, t.Owner, t.Tags, policy.MapKeys(t.Keys)
	return f.o.Authorizer.Authorize(ctx, ask)
}

// failQuery answers with an error.
func (c *Call) failQuery(err error) {
	fault := query.FaultOf(err, c.query.faults())
	if e, ok := errors.AsType[*chosenError](err); ok {
		r := e.render(c.Operation)
		fault = query.Fault{Status: r.status, Code: r.name, Message: r.message}
	}
	if c.body == nil { // as in [Call.fail]
		_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	showDecision(c.Writer.Header(), err)
	if fault.Status == http.StatusServiceUnavailable {
		c.Writer.Header().Set("Retry-After", retryAfter)
	}
	c.send(query.ContentType, fault.Status, query.Refusal(c.query.service.Namespace, c.ID, fault))
}

func (a queryAction) faults() map[kvs.Kind]query.Fault {
	if a.QueryAction == nil {
		return nil
	}
	return a.Faults
}
