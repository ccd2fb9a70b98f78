package kvs

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestKindOf(t *testing.T) {
	notFound := Errorf(NotFound, "no stream %q", "garden")
	for name, c := range map[string]struct {
		err  error
		want Kind
	}{
		"none":                 {nil, Internal},
		"another's":            {io.EOF, Internal},
		"itself":               {notFound, NotFound},
		"wrapped":              {fmt.Errorf("describe: %w", notFound), NotFound},
		"joined":               {errors.Join(io.EOF, notFound), NotFound},
		"the outer one counts": {&Error{Kind: Unavailable, Message: "try again", Cause: notFound}, Unavailable},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	if got := Errorf(NotFound, "no stream %q", "garden").Error(); got != `no stream "garden"` {
		t.Error(got)
	}
	err := error(&Error{Kind: Internal, Message: "reading the index", Cause: io.ErrUnexpectedEOF})
	if err.Error() != "reading the index: unexpected EOF" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
