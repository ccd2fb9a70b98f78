package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
)

// paint is an operation of our own that shows what reached it; its body may name the
// stream that there is.
func paint() Route {
	return Route{Operation: "PaintFence", Own: true,
		Target: func(c *Call) (t Target, err error) {
			if strings.Contains(string(c.Body()), "yard") {
				t.Name = &yard.Name
			}
			return t, nil
		},
		Call: func(_ context.Context, c *Call) (any, error) {
			if string(c.Body()) == "red" {
				return nil, kvs.Errorf(kvs.InvalidArgument, "Red is sold out.")
			}
			return map[string]string{"Stream": c.Stream.Name, "Colour": "<blue>"}, nil
		}}
}

// An operation of our own takes the path of all others: signed, allowed, answered,
// written to the log.
func TestOwnOperations(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil), paint())
	for _, c := range []struct {
		name, path, body string
		before, after    func(*http.Request)
		status           int
		says             string
	}{
		{"about a stream", "/millrace/PaintFence", `{"a":"yard"}`, nil, nil, 200, `{"Colour":"<blue>","Stream":"yard"}` + "\n"},
		{"about none", "/millrace/PaintFence", `{}`, nil, nil, 200, `"Stream":""`},
		{"refused", "/millrace/PaintFence", `red`, nil, nil, 400, `{"Message":"Red is sold out."}`},
		{"another body than was signed", "/millrace/PaintFence", `{}`, nil, func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) }, 403, `"message"`},
		{"unsigned", "/millrace/PaintFence", `{}`, nil, func(r *http.Request) { r.Header.Del("Authorization") }, 403, "Missing Authentication Token"},
		{"an unsigned one that is not there", "/millrace/Nothing", `{}`, nil, func(r *http.Request) { r.Header.Del("Authorization") }, 403, "Missing Authentication Token"},
		{"one that is not there", "/millrace/PaintDoor", `{}`, nil, nil, 404, `{"Message":"There is no operation 'PaintDoor'; this server has PaintFence."}`},
		{"by GET", "/millrace/PaintFence", ``, func(r *http.Request) { r.Method = "GET" }, nil, 404, "is called by POST, not by GET"},
		{"an operation of the model", "/millrace/DescribeStream", named, nil, nil, 404, "There is no operation 'DescribeStream'"},
		{"at the root", "/PaintFence", `{}`, nil, nil, 200, "UnknownOperationException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := h.send(h.request(c.path, c.body, c.before, c.after))
			if x.status != c.status || !strings.Contains(x.body, c.says) {
				t.Errorf("%d %s; want %d %s", x.status, x.body, c.status, c.says)
			}
			if !strings.Contains(h.log.String(), "id="+x.header["x-amzn-RequestId"]) {
				t.Error("the log does not know the call")
			}
			if x.header["Content-Type"] != "application/json" {
				t.Errorf("header %v", x.header)
			}
		})
	}
	if x := h.send(h.request("/millrace/PaintDoor", `{}`, nil, nil)); x.header["x-amzn-ErrorType"] != "UnknownOperationException" {
		t.Errorf("%v", x.header)
	}
	if !strings.Contains(h.log.String(), "operation=PaintFence status=200") || strings.Contains(h.log.String(), "operation=PaintDoor") {
		t.Errorf("log: %s", h.log.String())
	}
}

// asked notes what the policy was asked.
type asked struct {
	*house
	actions, resources []string
}

func (a *asked) Authorize(_ context.Context, ask *authority.Ask) error {
	a.actions, a.resources = append(a.actions, string(ask.Action)), append(a.resources, ask.Resource)
	return a.deny
}

// Our own operations have actions of their own, and a policy can name the stream.
func TestOwnActions(t *testing.T) {
	h := newHouse(t, nil, paint())
	front, ok := h.Config.Handler.(*Front)
	if !ok {
		t.Fatal("the house serves something else")
	}
	policy := &asked{house: h}
	front.o.Authorizer = policy
	h.send(h.request("/millrace/PaintFence", `"yard"`, nil, nil))
	h.deny = kvs.Errorf(kvs.Denied, "Paint is for painters.")
	x := h.send(h.request("/millrace/PaintFence", `{}`, nil, nil))
	if x.status != 403 || x.header["x-amzn-ErrorType"] != "NotAuthorizedException" {
		t.Errorf("%d %v", x.status, x.header)
	}
	if got := strings.Join(append(policy.actions, policy.resources...), " "); got != "millrace:PaintFence millrace:PaintFence "+yard.ARN().String()+" *" {
		t.Errorf("asked %s", got)
	}
}
