package api

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// kinds are all kinds of error there are.
var kinds = []kvs.Kind{kvs.Internal, kvs.InvalidArgument, kvs.InvalidFormat, kvs.NotFound, kvs.InUse, kvs.VersionMismatch,
	kvs.Denied, kvs.TooManyRequests, kvs.TooManyConnections, kvs.TooManyStreams, kvs.TooManyTags, kvs.WrongEndpoint,
	kvs.NoRetention, kvs.UnsupportedMedia, kvs.MissingPrivateData, kvs.InvalidPrivateData, kvs.InvalidFrame,
	kvs.NotImplemented, kvs.Unavailable, kvs.Conflict, kvs.MalformedPolicy, kvs.LimitExceeded, kvs.TooLarge, kvs.Unmodifiable,
	kvs.Validation, kvs.Expired, kvs.TooManyChannels, kvs.InvalidClient, kvs.SessionExpired}

// Every operation answers every kind of error with an exception of its own model, with
// the status and the message's key that the model gives it; the golden file is the table
// to read.
func TestEveryKindOfErrorOfEveryOperation(t *testing.T) {
	var table strings.Builder
	for i := range wire.Operations {
		op := &wire.Operations[i]
		fmt.Fprintf(&table, "%s\n", op.Name)
		for _, k := range kinds {
			r := render(op, fmt.Errorf("wrapped: %w", kvs.Errorf(k, "the message")))
			fmt.Fprintf(&table, "  %2d %d %s %s %q\n", k, r.status, r.name, r.key, r.message)
			x, modelled := op.Exception(r.name)
			switch {
			case !modelled:
			case r.key != x.MessageKey:
				t.Errorf("%s: %s has its text in %q, the model says %q", op.Name, r.name, r.key, x.MessageKey)
			case k == kvs.Denied && r.status != 403 || k != kvs.Denied && r.status != x.Status:
				t.Errorf("%s: %s with status %d, the model says %d", op.Name, r.name, r.status, x.Status)
			}
			if r.status < 400 || r.name == "" || r.key == "" || r.message == "" {
				t.Errorf("%s, kind %d: %+v", op.Name, k, r)
			}
			if k == kvs.Internal && r.message == "the message" {
				t.Errorf("%s: an internal message reaches the caller", op.Name)
			}
		}
	}
	if r := render(wire.ByName("DescribeStream"), errors.New("unknown")); r.status != 500 || r.name != "InternalFailure" {
		t.Errorf("an error without a kind: %+v", r)
	}
	const path = "testdata/exceptions.txt"
	if *update {
		if err := os.WriteFile(path, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != table.String() {
		t.Errorf("%s differs (%v); look at it with -update", path, err)
	}
}
