package play

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
)

const (
	mp4Type = "video/mp4"
	tsType  = "video/mp2t"
)

// errNoSegment is the answer about every fragment that is not the session's: gone, of
// another stream, outside the range, or never there.
func errNoSegment() error {
	return kvs.Errorf(kvs.NotFound, "The streaming session has no such fragment, or has it no more.")
}

// hlsInit answers with the initialization segment of a codec set.
func (r *room) hlsInit(ctx context.Context, v *visit) error {
	track, err := v.track()
	if err != nil {
		return err
	}
	set, err := v.query.number("SequenceNumber", 0)
	if err != nil {
		return err
	}
	e, ok, err := r.Board.FindSet(ctx, v.Stream, &v.ses, set)
	if err != nil || !ok {
		return orNone(err)
	}
	return r.init(ctx, v, &e, track)
}

// dashInit answers with the initialization segment that all fragments of a track share.
func (r *room) dashInit(ctx context.Context, v *visit) error {
	track, err := v.track()
	if err != nil {
		return err
	}
	t, err := r.timeline(ctx, v)
	if err != nil {
		return err
	}
	_, e, err := r.own(ctx, v, t)
	if err != nil {
		return err
	}
	return r.init(ctx, v, e, track)
}

func (r *room) init(ctx context.Context, v *visit, e *playback.Entry, track uint64) error {
	if err := r.Media.Check(ctx, e, &v.ses); err != nil {
		return err
	}
	b, err := r.Media.Init(ctx, e, track)
	if err != nil {
		return err
	}
	v.sendMedia(mp4Type, etag(b), bytes.NewReader(b))
	return nil
}

// hlsMedia answers with the segment of one track.
func (r *room) hlsMedia(ctx context.Context, v *visit) error {
	track, err := v.track()
	if err != nil {
		return err
	}
	return r.hlsSegment(ctx, v, track, playback.FMP4)
}

// hlsTS answers with the segment of all tracks.
func (r *room) hlsTS(ctx context.Context, v *visit) error {
	return r.hlsSegment(ctx, v, 0, playback.TS)
}

func (r *room) hlsSegment(ctx context.Context, v *visit, track uint64, kind playback.Container) error {
	if kind != v.ses.Container {
		return errNoSegment()
	}
	n, ok := kvs.ParseFragmentNumber(v.query.get("FragmentNumber"))
	if !ok {
		return kvs.Errorf(kvs.InvalidArgument, "FragmentNumber must be the number of a fragment, as the playlist has it.")
	}
	e, ok, err := r.Board.Fragment(ctx, v.Stream, &v.ses, n)
	if err != nil || !ok {
		return orNone(err)
	}
	return r.segment(ctx, v, &e, track, kind, e.Start)
}

// dashMedia answers with the segment of one track.
func (r *room) dashMedia(ctx context.Context, v *visit) error {
	track, err := v.track()
	if err != nil {
		return err
	}
	n, err := v.query.number("SequenceNumber", 0)
	if err != nil {
		return err
	}
	e, ok, err := r.Board.Find(ctx, v.Stream, &v.ses, n)
	if err != nil || !ok {
		return orNone(err)
	}
	return r.segment(ctx, v, &e, track, playback.FMP4, e.MediaBegin())
}

func orNone(err error) error {
	if err == nil {
		err = errNoSegment()
	}
	return err
}

func (r *room) segment(ctx context.Context, v *visit, e *playback.Entry, track uint64, kind playback.Container, start kvs.Millis) error {
	if err := v.Points(1); err != nil {
		return err
	}
	if err := r.Media.Check(ctx, e, &v.ses); err != nil {
		return err
	}
	s, err := r.Media.Segment(ctx, e, track, kind, start, v.session())
	if err != nil {
		return err
	}
	defer s.Close()
	name := mp4Type
	if kind == playback.TS {
		name = tsType
	}
	v.sendMedia(name, s.ETag(), s.Reader())
	return nil
}

// sendMedia answers with bytes that never change, or with a part of them. Ranges and
// conditions are those of RFC 9110.
func (v *visit) sendMedia(contentType, etag string, b io.ReadSeeker) {
	v.header.Set("Content-Type", contentType)
	v.header.Set("ETag", etag)
	rest := max(0, int64(v.ses.Expires-v.now)/1000)
	v.header.Set("Cache-Control", "private, immutable, max-age="+strconv.FormatInt(rest, 10))
	http.ServeContent(v.Writer, v.Request, "", time.Time{}, b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// etag is an entity tag of bytes: the same in every process. The checksum is one that
// processors have an instruction for.
func etag(b []byte) string {
	return `"` + strconv.FormatUint(uint64(crc32.Checksum(b, castagnoli)), 36) + "-" + strconv.Itoa(len(b)) + `"`
}
