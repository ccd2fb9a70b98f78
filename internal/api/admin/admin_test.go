package admin

import (
	"context"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
)

type fenceInput struct {
	Stream
	Colour string
	Coats  int
}

func paint() Route {
	return OnStream("PaintFence", "Paints.", nil, func(_ context.Context, _ *api.Call, in *fenceInput) (any, error) {
		return in.Colour, nil
	})
}

// A body that does not fit is refused with what is wrong about it.
func TestBodies(t *testing.T) {
	r := paint()
	for body, says := range map[string]string{
		`{"StreamName":"yard","Colour":"blue"}`: "",
		`{"StreamName":"yard","Color":"blue"}`:  `unknown field "Color"`,
		`{"StreamName":"yard","Coats":"two"}`:   "Coats",
		`{"StreamName":"yard"} {}`:              "more than one JSON object",
		`{"StreamName":`:                        "unexpected EOF",
		`[]`:                                    "array",
		``:                                      "Either StreamName or StreamARN",
		`{}`:                                    "Either StreamName or StreamARN",
	} {
		target, err := r.Target([]byte(body))
		if err == nil {
			_, err = r.Call(t.Context(), nil, []byte(body))
		}
		switch {
		case says == "" && (err != nil || *target.Name != "yard"):
			t.Errorf("%s: %v", body, err)
		case says != "" && (kvs.KindOf(err) != kvs.InvalidArgument || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: %v, want %s", body, err, says)
		}
	}
}

// An input with AnyStream may leave the stream out.
func TestAnyStream(t *testing.T) {
	type input struct{ AnyStream }
	r := OnStream("CountFences", "Counts.", nil, func(context.Context, *api.Call, *input) (any, error) { return 1, nil })
	if target, err := r.Target(nil); err != nil || target != (api.Target{}) {
		t.Errorf("%v %v", target, err)
	}
	if target, err := r.Target([]byte(`{"StreamARN":"arn"}`)); err != nil || *target.ARN != "arn" {
		t.Errorf("%v %v", target, err)
	}
	if routes := Routes(r, paint()); len(routes) != 2 || !routes[0].Own || routes[1].Operation != "PaintFence" || routes[1].Target == nil {
		t.Errorf("%+v", routes)
	}
}
