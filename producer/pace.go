package producer

import (
	"context"
	"io"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/mkv"
)

// Pacer gives out Matroska at the speed at which it was recorded: each frame waits until
// as much time has passed since the first one as their timestamps say. The bytes stay
// the same.
type Pacer struct {
	*tap
	ctx   context.Context
	scale uint64 // nanoseconds in one timecode unit
	first int64  // time of the first frame, in timecode units
	begun time.Time
}

// NewPacer returns a Pacer of src. When ctx ends, reading fails with its error.
func NewPacer(ctx context.Context, src io.Reader) *Pacer {
	p := &Pacer{ctx: ctx, scale: uint64(time.Millisecond)}
	p.tap = newTap(src, p.wait)
	return p
}

// wait returns when it is time for an item.
func (p *Pacer) wait(it *mkv.Item) error {
	switch it.Kind {
	case mkv.InfoElement:
		p.scale = it.Info.TimecodeScale
	case mkv.Block:
		at := int64(it.Timecode) + int64(it.Block.Time)
		if p.begun.IsZero() {
			p.first, p.begun = at, time.Now()
		}
		due := p.begun.Add(time.Duration(at-p.first) * time.Duration(p.scale))
		return client.Wait(p.ctx, time.Until(due))
	}
	return nil
}
