package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// A mistake of ours is answered, logged with its place and counted, and the next call
// is served.
func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil), JSON("ListStreams",
		func(context.Context, *Call, *wire.ListStreamsInput) (any, error) { panic("the roof fell in") }))
	got := h.send(h.request("/listStreams", `{}`, nil, nil))
	if got.status != http.StatusInternalServerError || !strings.Contains(got.body, "Internal failure") || strings.Contains(got.body, "roof") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := h.send(h.request("/describeStream", named, nil, nil)); got.status != http.StatusOK {
		t.Errorf("the next call: %d", got.status)
	}
	for _, want := range []string{"level=ERROR", "operation=ListStreams status=500", `panic="the roof fell in"`, "panic_test.go"} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, h.log.String())
		}
	}
}

// A stranger's body is not read: the refusal comes before it.
func TestStrangersAreRefusedBeforeTheirBody(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	r := h.request("/describeStream", named, nil, func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), caller.AccessKey, "AKIANOBODYNOBODYNOBO", 1))
	})
	r.Body = unread{t}
	front := h.Config.Handler.(*Front)
	c := front.newCall(discard{http.Header{}}, r)
	c.Operation = wire.ByName("DescribeStream")
	if err := front.handle(t.Context(), c); err == nil || !strings.Contains(err.Error(), "security token") {
		t.Errorf("got %v", err)
	}
}

// unread is a body that nobody may read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyReadAfterClose
}

func (u unread) Close() error { return nil }

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
