package admin

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
)

type fenceInput struct {
	Stream
	Colour string
	Coats  int
	Cans   uint
	Dry    time.Time
	Boards []struct{ Width float64 }
	Gate   bool
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
		`{"StreamName":"yard","Color":"blue"}`:  `there is no member "Color"`,
		`{"StreamName":"yard","Coats":"two"}`:   "Coats is a text, not a whole number in digits",
		`{"StreamName":"yard","Coats":1e3}`:     "Coats is the number 1e3, not a whole number in digits",
		`{"StreamName":"yard","Cans":-1}`:       "Cans is the number -1, not a whole number from 0, in digits",
		`{"StreamName":"yard","Colour":{}}`:     "Colour is an object, not a text",
		`{"StreamName":"yard","Gate":0}`:        "Gate is a number, not true or false",
		`{"StreamName":"yard","Dry":"soon"}`:    "Dry is not a time such as 2026-01-02T15:04:05Z",
		`{"StreamName":"yard","Dry":5}`:         "Dry is not a time such as 2026-01-02T15:04:05Z",
		`{"StreamName":"yard","Boards":true}`:   "Boards is true or false, not a list",
		`{"StreamName":["yard"]}`:               ": StreamName is a list, not a text",
		`{"Boards":[{"Width":"wide"}]}`:         "Boards.Width is a text, not a number",
		`{"StreamName":"yard","Coats":}`:        "it is no JSON object: invalid character '}'",
		`{"StreamName":"yard"} {}`:              "more than one JSON object",
		`{"StreamName":`:                        "unexpected EOF",
		`[]`:                                    "it is a list, not an object",
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
		if err != nil && regexp.MustCompile(`Go |struct|unmarshal|Unmarshal|int\b|2006`).MatchString(err.Error()) {
			t.Errorf("%s: %v speaks of the program", body, err)
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
