package media

import (
	"bytes"
	"context"
	"time"

	"github.com/millrace/millrace/internal/ingest"
)

// unreliable loses acknowledgements, or is late with them, as a development server was
// told to.
type unreliable struct {
	ingest.AckWriter
	ctx    context.Context // of the session
	chosen func(event string) (lost bool, late time.Duration)
}

// WriteAck sends the acknowledgement if it is not lost.
func (u *unreliable) WriteAck(line []byte) error {
	_, rest, _ := bytes.Cut(line, []byte(`"EventType":"`))
	event, _, _ := bytes.Cut(rest, []byte(`"`))
	lost, late := u.chosen(string(event))
	if late > 0 {
		timer := time.NewTimer(late)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-u.ctx.Done(): // the session ends: what is written now is written at once
		}
	}
	if lost {
		return nil
	}
	return u.AckWriter.WriteAck(line)
}
