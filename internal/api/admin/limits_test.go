package admin

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// A dry run of a reset weighs the limit that would hold then: that of the account for a
// stream, that of the settings for an account; and takes nothing back.
func TestDryReset(t *testing.T) {
	book, err := quota.NewBook(t.Context(), quota.BookOptions{Settings: map[string]string{"stream.bytes": "5MB"}})
	if err != nil {
		t.Fatal(err)
	}
	account, stream := quota.Target{Account: "000000000001"}, quota.Target{Account: "000000000001", Stream: 7}
	for target, value := range map[quota.Target]string{account: "3MB", stream: "1GB"} {
		if err := book.Set(t.Context(), target, "stream.bytes", value); err != nil {
			t.Fatal(err)
		}
	}
	l := limits{book: book, weigh: func(_ context.Context, _ quota.Target, bytes int64) (archive.Toll, error) {
		return archive.Toll{Fragments: bytes / 1e6, Bytes: 1}, nil
	}}
	for _, c := range []struct {
		target  quota.Target
		name    string
		value   string
		removes int64
	}{
		{stream, "stream.bytes", "3MB", 3},
		{stream, "", "3MB", 3},
		{account, "", "5MB", 5},
		{account, "PutMedia.sessions", "", 0},
	} {
		call := &api.Call{Principal: kvs.Principal{Account: c.target.Account}, Stream: kvs.Stream{ID: c.target.Stream}}
		answer, err := l.reset(t.Context(), call, &ResetLimitInput{Name: c.name, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		out, _ := answer.(LimitsOutput)
		if c.value == "" {
			if len(out.Limits) != 0 {
				t.Errorf("%+v: %+v", c, out)
			}
			continue
		}
		if len(out.Limits) != 1 || out.Limits[0].Value != c.value || out.Limits[0].Removes != c.removes {
			t.Errorf("%+v: %+v", c, out)
		}
	}
	if v := book.View("000000000001", 7).Bytes(quota.StreamBytes); v != 1e9 {
		t.Errorf("the limit is %d now", v)
	}
}
