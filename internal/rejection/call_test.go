package rejection

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

func TestCallsThatWereRefused(t *testing.T) {
	secret := errors.New("open /var/lib/secret: no such file")
	for _, c := range []struct {
		err  error
		want string
		says string
	}{
		{kvs.Errorf(kvs.InvalidArgument, "x-amzn-fragment-timecode-type is 'X'."), "bad-header", "'X'"},
		{kvs.Errorf(kvs.InvalidFormat, "no ARN"), "bad-header", "no ARN"},
		{kvs.Errorf(kvs.TooManyRequests, "slow down"), "too-many-requests", "slow down"},
		{kvs.Errorf(kvs.WrongEndpoint, "elsewhere"), "wrong-endpoint", "elsewhere"},
		{secret, "internal", "Internal failure."},
		{&kvs.Error{Kind: kvs.Internal, Message: "the row", Cause: secret}, "internal", "Internal failure."},
	} {
		r := Call{Time: time.UnixMilli(5), Request: "req", Status: 400, Exception: "X", Err: c.err}.Refusal()
		if r.Case != c.want || !strings.Contains(r.Why, c.says) || strings.Contains(r.Why, "secret") || r.Scope != Request || r.Fix == "" || r.Offset != -1 || r.Timecode != -1 || !r.Told {
			t.Errorf("%v: %+v", c.err, r)
		}
	}
	seen := Call{Operation: "GetClip", Err: kvs.Errorf(kvs.UnsupportedMedia, "(track 1: V_VP8)")}.Refusal()
	put := Call{Err: kvs.Errorf(kvs.UnsupportedMedia, "(track 1: V_VP8)")}.Refusal()
	if seen.Call != "GetClip" || seen.Case != "media-not-played" || !strings.Contains(seen.Why, "V_VP8") || put.key() == seen.key() {
		t.Errorf("%+v", seen)
	}
	for _, a := range append(Advices(), PlayAdvices()...) {
		if a.Name == "" || len(a.When) < 20 || len(a.Fix) < 40 {
			t.Errorf("%+v", a)
		}
	}
}
