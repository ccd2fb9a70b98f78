package demo

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/millrace/millrace/mkv"
)

// MediaType is the media type of a stream that the camera feeds.
const MediaType = "video/h264"

// camera writes the clip again and again.
type camera struct {
	w      io.Writer
	buf    []byte
	start  time.Time // of the first frame
	ahead  int64     // milliseconds from the real clock to that of the camera
	frames int64     // written so far
}

// Film writes Matroska to w as a live producer does until ctx ends or a write fails:
// one document whose clusters have unknown size and carry absolute times in
// milliseconds since the Unix epoch, each frame at the moment it is due.
//
// epoch is what the camera's own clock shows at the first frame.
func Film(ctx context.Context, w io.Writer, epoch time.Time) error {
	c := &camera{w: w, start: time.Now()}
	c.ahead = epoch.UnixMilli() - c.start.UnixMilli()
	for {
		if err := c.reel(ctx); err != nil {
			return err
		}
	}
}

// reel writes the clip once; the head of the document the first time only.
func (c *camera) reel(ctx context.Context) error {
	r := mkv.NewReader(bytes.NewReader(clip), mkv.Options{})
	var assembler mkv.Assembler
	for {
		it, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if it.Kind == mkv.TracksElement && c.frames == 0 {
			if err := c.head(it.Tracks); err != nil {
				return err
			}
		}
		for _, f := range assembler.Add(it) {
			if err := c.frame(ctx, f); err != nil {
				return err
			}
		}
	}
}

func (c *camera) head(tracks []mkv.Track) error {
	b := mkv.AppendEBML(c.buf[:0], mkv.Header{DocType: "matroska", DocTypeVersion: 2, DocTypeReadVersion: 2})
	b = mkv.AppendSegmentUnknown(b)
	b = mkv.AppendInfo(b, &mkv.Info{TimecodeScale: 1_000_000, Title: "Millrace demo", MuxingApp: "Millrace demo camera", WritingApp: "Millrace demo camera"})
	c.buf = mkv.AppendTracks(b, tracks)
	_, err := c.w.Write(c.buf)
	return err
}

// frame waits until the frame is due and writes it; a key frame begins a cluster.
func (c *camera) frame(ctx context.Context, f mkv.Frame) error {
	due := c.due(c.frames)
	if err := sleep(ctx, time.Until(due)); err != nil {
		return err
	}
	b := c.buf[:0]
	first := c.frames - c.frames%FrameRate // of this cluster: one second each
	if c.frames == first {
		b = mkv.AppendClusterUnknown(b, uint64(due.UnixMilli()+c.ahead))
	}
	at := due.UnixMilli() - c.due(first).UnixMilli()
	c.buf = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: f.Track, Time: int16(at), Key: f.Key}, f.Data)
	c.frames++
	_, err := c.w.Write(c.buf)
	return err
}

// due is when the n-th frame is shown.
func (c *camera) due(n int64) time.Time {
	return c.start.Add(time.Duration(n) * time.Second / FrameRate)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
