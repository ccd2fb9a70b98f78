package wire

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestByPath(t *testing.T) {
	for i := range Operations {
		op := &Operations[i]
		if ByPath("POST", op.Path) != op || ByName(op.Name) != op {
			t.Errorf("%s is not found by path and name: its path stands twice", op.Name)
		}
	}
	for _, r := range []route{
		{"GET", "/putMedia"}, {"POST", "/PutMedia"}, {"POST", "//putMedia"}, {"POST", "/putMedia/"}, {"POST", "/put%4dedia"},
		{"POST", "/tagResource"}, {"POST", "/TagStream"}, {"POST", ""}, {"post", "/putMedia"},
	} {
		if op := ByPath(r.method, r.path); op != nil {
			t.Errorf("%v is %s", r, op.Name)
		}
	}
	if ByName("putMedia") != nil {
		t.Error("names are compared without case")
	}
}

func TestOperations(t *testing.T) {
	if len(Operations) != 44 {
		t.Errorf("%d operations, want 43 and PutMedia", len(Operations))
	}
	payloads := []string{"GetMedia", "GetMediaForFragmentList", "GetClip", "PutMedia"}
	for _, op := range Operations {
		if (op.Input == nil) != (op.Name == "PutMedia") {
			t.Errorf("%s: input %v", op.Name, op.Input != nil)
		}
		if op.PayloadOutput != slices.Contains(payloads, op.Name) || op.PayloadOutput != (op.Output == nil) {
			t.Errorf("%s: payload %v, output %v", op.Name, op.PayloadOutput, op.Output != nil)
		}
		for _, e := range op.Exceptions {
			if !strings.HasSuffix(e.Name, "Exception") || e.Status < 400 || e.Status > 404 {
				t.Errorf("%s: exception %+v", op.Name, e)
			}
			if op.Service == Storage && e.MessageKey != "message" {
				t.Errorf("%s: %s says %s", op.Name, e.Name, e.MessageKey)
			}
		}
	}
}

func TestServed(t *testing.T) {
	text, err := os.ReadFile("served.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(text))
	for _, op := range Operations {
		if op.Served != slices.Contains(listed, op.Name) {
			t.Errorf("%s: served %v", op.Name, op.Served)
		}
	}
}

func TestException(t *testing.T) {
	if e, ok := PutMedia.Exception("NotAuthorizedException"); !ok || e.Status != 401 {
		t.Errorf("%+v, %v", e, ok)
	}
	if e, ok := JoinStorageSession.Exception("AccessDeniedException"); !ok || e.Status != 403 {
		t.Errorf("%+v, %v", e, ok)
	}
	if _, ok := ListStreams.Exception("NotAuthorizedException"); ok {
		t.Error("ListStreams has no NotAuthorizedException in the model")
	}
}
