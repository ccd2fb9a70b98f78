package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/fault"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/sigv4"
)

// queries is a service with an action for each thing that can happen.
func queries() []QueryService {
	call := func(answer any, err error) func(context.Context, *Call, query.Form) (any, error) {
		return func(context.Context, *Call, query.Form) (any, error) { return answer, err }
	}
	return []QueryService{{Name: "iam", Version: "2010-05-08", Namespace: "ns", Actions: []QueryAction{
		{Name: "GetUser", Call: func(_ context.Context, c *Call, f query.Form) (any, error) {
			return struct{ UserName, Account string }{f.Get("UserName"), string(c.Principal.Account)}, nil
		}, Target: func(_ context.Context, c *Call, f query.Form) (QueryTarget, error) {
			if !f.Given("UserName") {
				return QueryTarget{}, kvs.Errorf(kvs.Validation, "no name")
			}
			return QueryTarget{Resource: "user/" + f.Get("UserName")}, nil
		}},
		{Name: "DeleteUser", Call: call(nil, nil)},
		{Name: "Miss", Call: call(nil, kvs.Errorf(kvs.NotFound, "not there"))},
		{Name: "Special", Call: call(nil, kvs.Errorf(kvs.InvalidArgument, "odd")), Faults: map[kvs.Kind]query.Fault{kvs.InvalidArgument: {Status: 418, Code: "Odd"}}},
		{Name: "Fail", Call: call(nil, errors.New("deep inside"))},
		{Name: "Busy", Call: call(nil, kvs.Errorf(kvs.Unavailable, "later"))},
		{Name: "Panic", Call: func(context.Context, *Call, query.Form) (any, error) { panic("ouch") }},
		{Name: "Odd", Call: call(func() {}, nil)},
		{Name: "Free", Free: true, Call: call(struct{ A int }{1}, nil)},
	}}, {Name: "sts", Version: "2011-06-15", Namespace: "sns", Actions: []QueryAction{{Name: "GetCallerIdentity", Free: true, Call: call(nil, nil)}}}}
}

func queryHouse(t *testing.T, routes ...Route) *house {
	h := newHouse(t, nil, routes...)
	h.front.queries = queryServices(queries())
	return h
}

// form makes a signed request of the Query protocol.
func (h *house) form(service, region, body string, after func(*http.Request)) *http.Request {
	return h.request("/", body, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}, func(r *http.Request) {
		s := sigv4.Signer{Credentials: caller, Region: region, Service: service}
		if err := s.Sign(r, sigv4.PayloadHash([]byte(body))); err != nil {
			h.t.Fatal(err)
		}
		if after != nil {
			after(r)
		}
	})
}

// refused is the answer to a call that failed.
func refused(namespace, kind, code, message string, x exchange) string {
	return `<ErrorResponse xmlns="` + namespace + `"><Error><Type>` + kind + `</Type><Code>` + code + `</Code><Message>` + message +
		`</Message></Error><RequestId>` + x.header["x-amzn-RequestId"] + `</RequestId></ErrorResponse>`
}

func TestQueryCalls(t *testing.T) {
	h := queryHouse(t)
	for _, c := range []struct {
		service, form string
		status        int
		want          func(x exchange) string
	}{
		{"iam", "Action=GetUser&Version=2010-05-08&UserName=a%26b", 200, func(x exchange) string {
			return `<GetUserResponse xmlns="ns"><GetUserResult><UserName>a&amp;b</UserName><Account>111122223333</Account></GetUserResult>` +
				`<ResponseMetadata><RequestId>` + x.header["x-amzn-RequestId"] + `</RequestId></ResponseMetadata></GetUserResponse>`
		}},
		{"iam", "Action=DeleteUser&Version=2010-05-08", 200, func(x exchange) string {
			return `<DeleteUserResponse xmlns="ns"><ResponseMetadata><RequestId>` + x.header["x-amzn-RequestId"] + `</RequestId></ResponseMetadata></DeleteUserResponse>`
		}},
		{"iam", "Action=GetUser&Version=2010-05-08", 400, func(x exchange) string { return refused("ns", "Sender", "ValidationError", "no name", x) }},
		{"iam", "Action=Miss&Version=2010-05-08", 404, func(x exchange) string { return refused("ns", "Sender", "NoSuchEntity", "not there", x) }},
		{"iam", "Action=Special&Version=2010-05-08", 418, func(x exchange) string { return refused("ns", "Sender", "Odd", "odd", x) }},
		{"iam", "Action=Fail&Version=2010-05-08", 500, func(x exchange) string { return refused("ns", "Receiver", "InternalFailure", "Internal failure.", x) }},
		{"iam", "Action=Odd&Version=2010-05-08", 500, func(x exchange) string { return refused("ns", "Receiver", "InternalFailure", "Internal failure.", x) }},
		{"iam", "Action=Panic&Version=2010-05-08", 500, func(x exchange) string { return refused("ns", "Receiver", "InternalFailure", "Internal failure.", x) }},
		{"iam", "Action=Busy&Version=2010-05-08", 503, func(x exchange) string { return refused("ns", "Receiver", "ServiceUnavailable", "later", x) }},
		{"iam", "Action=GetCallerIdentity&Version=2011-06-15", 400, func(x exchange) string {
			return refused("ns", "Sender", "InvalidAction", "Could not find operation GetCallerIdentity for version 2011-06-15. docs/ref/coverage.md lists what is served, of version 2010-05-08.", x)
		}},
		{"iam", "Action=GetUser", 400, func(x exchange) string {
			return refused("ns", "Sender", "InvalidAction", "Could not find operation GetUser for version . docs/ref/coverage.md lists what is served, of version 2010-05-08.", x)
		}},
		{"iam", "Action=%zz", 400, func(x exchange) string {
			return refused("ns", "Sender", "ValidationError", "The body is no form (application/x-www-form-urlencoded).", x)
		}},
		{"sts", "Action=GetCallerIdentity&Version=2011-06-15", 200, func(x exchange) string {
			return `<GetCallerIdentityResponse xmlns="sns"><ResponseMetadata><RequestId>` + x.header["x-amzn-RequestId"] + `</RequestId></ResponseMetadata></GetCallerIdentityResponse>`
		}},
		{"sts", "Action=Nothing&Version=2011-06-15", 400, func(x exchange) string {
			return refused("sns", "Sender", "InvalidAction", "Could not find operation Nothing for version 2011-06-15. docs/ref/coverage.md lists what is served, of version 2011-06-15.", x)
		}},
	} {
		x := h.send(h.form(c.service, "us-east-1", c.form, nil))
		if want := c.want(x); x.status != c.status || x.body != want || x.header["Content-Type"] != query.ContentType {
			t.Errorf("%s: %d %s %s\nwant %s", c.form, x.status, x.header["Content-Type"], x.body, want)
		}
	}
	if !strings.Contains(h.log.String(), "operation=iam:GetUser status=200") || !strings.Contains(h.log.String(), "operation=unknown status=400") {
		t.Error(h.log.String())
	}
}

func TestRefusedQueries(t *testing.T) {
	h := queryHouse(t)
	const form = "Action=Free&Version=2010-05-08"
	as := func(c sigv4.Credentials) func(*http.Request) {
		return func(r *http.Request) {
			if err := (sigv4.Signer{Credentials: c, Region: "us-east-1", Service: "iam"}).Sign(r, sigv4.PayloadHash([]byte(form))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name, service, region string
		after                 func(*http.Request)
		want                  string
	}{
		{"unsigned", "iam", "us-east-1", func(r *http.Request) { r.Header.Del("Authorization") }, "<Code>MissingAuthenticationToken</Code>"},
		{"unknown key", "iam", "us-east-1", as(sigv4.Credentials{AccessKey: "AKIANOBODYNOBODYNOBO", Secret: "x"}), "<Code>InvalidClientTokenId</Code>"},
		{"another secret", "iam", "us-east-1", as(sigv4.Credentials{AccessKey: caller.AccessKey, Secret: "x"}), "<Code>SignatureDoesNotMatch</Code>"},
		{"another region", "iam", "eu-west-1", nil, "<Code>SignatureDoesNotMatch</Code>"},
		{"another service", "kinesisvideo", "us-east-1", nil, "scoped to correct service"},
		{"another body", "iam", "us-east-1", func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.ToLower(form)))
		}, "<Code>SignatureDoesNotMatch</Code>"},
	} {
		x := h.send(h.form(c.service, c.region, form, c.after))
		if x.status != 403 || !strings.HasPrefix(x.body, `<ErrorResponse xmlns="`) || !strings.Contains(x.body, c.want) {
			t.Errorf("%s: %d %s", c.name, x.status, x.body)
		}
	}
	h.deny = kvs.Errorf(kvs.Denied, "no")
	if x := h.send(h.form("iam", "us-east-1", "Action=DeleteUser&Version=2010-05-08", nil)); x.status != 403 || x.body != refused("ns", "Sender", "AccessDenied", "no", x) {
		t.Errorf("denied: %d %s", x.status, x.body)
	}
	if x := h.send(h.form("iam", "us-east-1", form, nil)); x.status != 200 {
		t.Errorf("an action that needs no permission: %d %s", x.status, x.body)
	}
	if x := h.send(h.form("iam", "us-east-1", "Action=Free&Version=2010-05-08&x="+strings.Repeat("x", maxBody), nil)); x.status != 400 {
		t.Errorf("a large body: %d %s", x.status, x.body)
	}
}

// Forms elsewhere, and other bodies at /, are no calls of the Query protocol.
func TestWhatIsAQuery(t *testing.T) {
	h := queryHouse(t, describe(nil, nil))
	for _, c := range []struct{ path, kind string }{{"/", "application/json"}, {"/", ""}, {"//", "application/x-www-form-urlencoded"}} {
		r := h.request(c.path, "Action=Free&Version=2010-05-08", func(r *http.Request) { r.Header.Set("Content-Type", c.kind) }, nil)
		if x := h.send(r); x.status != 200 || !strings.Contains(x.body, "UnknownOperationException") {
			t.Errorf("%s as %s: %d %s", c.path, c.kind, x.status, x.body)
		}
	}
	r := h.request("/describeStream", named, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, nil)
	if x := h.send(r); x.status != 200 || x.body != "{}" {
		t.Errorf("an operation with the content type of curl: %d %s", x.status, x.body)
	}
}

// Queries suffer as other calls do.
func TestChosenFaultsOfQueries(t *testing.T) {
	h := queryHouse(t)
	plan, err := fault.Parse([]string{"*:error=Throttling,status=400"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	h.front.o.Faults = plan
	x := h.send(h.form("iam", "us-east-1", "Action=GetUser&Version=2010-05-08&UserName=a", nil))
	if x.status != 400 || !strings.Contains(x.body, "<Code>Throttling</Code>") {
		t.Errorf("%d %s", x.status, x.body)
	}
}
