package permission

import (
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// The table has every operation of the models in the section of its service, with the action
// of its name and the kind of resource that its input names.
func TestEveryModelledOperation(t *testing.T) {
	sections := map[wire.Service]Section{wire.Video: video, wire.Media: media, wire.Archived: archived, wire.Signaling: signaling, wire.Storage: storage}
	rows := 0
	for _, s := range sections {
		rows += len(s.Permissions)
	}
	if rows != len(wire.Operations) {
		t.Errorf("%d rows for %d operations", rows, len(wire.Operations))
	}
	for _, op := range wire.Operations {
		found := false
		for _, p := range sections[op.Service].Permissions {
			if p.Operation != op.Name {
				continue
			}
			found = true
			if p.Action != kvs.Action("kinesisvideo:"+op.Name) {
				t.Errorf("%s needs %s", op.Name, p.Action)
			}
			if want := resource(op); p.Resource != want {
				t.Errorf("%s is about %s, its input says %s", op.Name, p.Resource, want)
			}
		}
		if !found {
			t.Errorf("%s has no row", op.Name)
		}
	}
}

// resource is what the input of an operation names.
func resource(op wire.Operation) Resource {
	if op.Input == nil {
		return Stream
	}
	in := op.Input()
	if _, ok := in.(interface{ Target() (name, arn *string) }); !ok {
		return Any
	}
	has := func(member string) bool {
		_, ok := reflect.TypeOf(in).Elem().FieldByName(member)
		return ok
	}
	switch {
	case has("ResourceARN"):
		return Either
	case has("ChannelARN"), has("ChannelArn"):
		return Channel
	}
	return Stream
}

// An action stands in one row alone, and every row says what it needs.
func TestRows(t *testing.T) {
	seen := map[kvs.Action]bool{}
	for p := range All() {
		if p.Operation == "" || p.Resource == "" || p.Action == "" && p.Holder != Nobody {
			t.Errorf("%+v is not whole", p)
		}
		if p.Action != "" && (seen[p.Action] || !strings.Contains(string(p.Action), ":")) {
			t.Errorf("%s stands there twice, or is no action", p.Action)
		}
		seen[p.Action] = true
		if got, ok := Of(p.Action); p.Action != "" && (!ok || got.Operation != p.Operation) {
			t.Errorf("%s leads to %+v", p.Action, got)
		}
	}
	if _, ok := Of("kinesisvideo:Sing"); ok {
		t.Error("an action that is none has a row")
	}
}
