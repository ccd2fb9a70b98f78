package keyring

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// What readers are told of a key: whether to come again, and not what the provider said.
func TestRefusal(t *testing.T) {
	for f := AccessDenied; f <= NotFound; f++ {
		want := kvs.Denied
		if f == Unavailable {
			want = kvs.Unavailable
		}
		err := Refusal(&Error{Failure: f, KeyID: "alias/mine", Cause: errors.New("inside")})
		e, ok := errors.AsType[*kvs.Error](err)
		if !ok || e.Kind != want || e.Message != "The stream cannot be read: "+f.String()+"." || strings.Contains(e.Message, "inside") {
			t.Errorf("%v: %v", f, err)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%v: the cause is gone", f)
		}
	}
	if other := errors.New("another"); Refusal(other) != other || Refusal(nil) != nil {
		t.Error("another error changed")
	}
}
