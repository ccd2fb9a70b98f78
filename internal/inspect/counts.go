package inspect

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
)

// tally is what the rows of a segment or of a stream add up to.
type tally struct {
	fragments int64
	bytes     int64
	longest   int64
}

// counts reads all rows once, at one moment, and compares the sums that the index keeps
// with them; numbers and live sequences are compared on the way.
func (c *check) counts(ctx context.Context) error {
	l := &look{seen: map[place]bool{}, over: map[int]int{}}
	err := c.index.at(ctx, func(v view) error {
		rows, err := v.segments(ctx)
		if err != nil {
			return err
		}
		streams, err := v.streams(ctx)
		if err != nil {
			return err
		}
		segments, err := c.addUp(ctx, v, streams, l)
		if err != nil {
			return err
		}
		for id, r := range rows {
			c.compareSums(id, r, segments[id], l)
			delete(segments, id)
		}
		for id, t := range segments {
			l.found(finding(rebuild, 14, "%d rows of fragments point to segment %d, which has no row", t.fragments, id).on(id))
		}
		return nil
	})
	if err == nil {
		c.accept(ctx, l)
	}
	return err
}

func (c *check) compareSums(id int64, r segmentRow, t *tally, l *look) {
	if t == nil {
		t = &tally{}
	}
	if r.live != t.fragments || r.bytes != t.bytes {
		c.miscounted[id] = true
		l.found(finding(rebuild, 7, "the row of segment %d counts %d fragments and %d bytes; there are %d and %d",
			id, r.live, r.bytes, t.fragments, t.bytes).on(id))
	}
	if t.longest > r.longest {
		l.found(finding(rebuild, 7, "the row of segment %d says that none of its fragments lasts longer than %d ms; one lasts %d ms",
			id, r.longest, t.longest).on(id))
	}
}

// streams returns the counts of all streams.
func (v view) streams(ctx context.Context) (map[kvs.StreamID]tally, error) {
	rows, err := v.tx.QueryContext(ctx, `SELECT stream, fragments, bytes FROM streams`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[kvs.StreamID]tally{}
	for rows.Next() {
		var id kvs.StreamID
		var t tally
		if err := rows.Scan(&id, &t.fragments, &t.bytes); err != nil {
			return nil, err
		}
		all[id] = t
	}
	return all, rows.Err()
}

// addUp reads the rows of all fragments in order. It compares the counts of streams, and
// returns the sums of segments.
func (c *check) addUp(ctx context.Context, v view, counted map[kvs.StreamID]tally, l *look) (map[int64]*tally, error) {
	rows, err := v.tx.QueryContext(ctx, `SELECT stream, n, segment, length, duration, live_seq FROM fragments ORDER BY stream, n`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	segments := map[int64]*tally{}
	s := stretch{l: l}
	for rows.Next() {
		var id fragmentID
		var segment, length, duration, seq int64
		if err := rows.Scan(&id.stream, &id.n, &segment, &length, &duration, &seq); err != nil {
			return nil, err
		}
		t := segments[segment]
		if t == nil {
			t = &tally{}
			segments[segment] = t
		}
		t.fragments++
		t.bytes += length
		t.longest = max(t.longest, duration)
		if id.stream != s.stream {
			s.end(counted)
			s = stretch{l: l, stream: id.stream}
		}
		s.add(id, length, seq)
	}
	s.end(counted)
	for id, t := range counted {
		if t.fragments != 0 || t.bytes != 0 {
			f := finding(rebuild, 7, "the count of stream %d is %d fragments and %d bytes; it has none", id, t.fragments, t.bytes)
			f.Stream = id
			l.found(f)
		}
	}
	return segments, rows.Err()
}

// stretch is the rows of one stream.
type stretch struct {
	l      *look
	stream kvs.StreamID
	sum    tally
	seq    int64 // the last one
	n      int64 // that had it
}

func (s *stretch) add(id fragmentID, length, seq int64) {
	s.sum.fragments++
	s.sum.bytes += length
	if seq == 0 {
		return
	}
	if seq <= s.seq {
		s.l.found(finding(refuse, 13, "live_seq %d of fragment %d of stream %d does not come behind %d of the one before, with counter %d", seq, id.n, id.stream, s.seq, s.n).of(id))
	}
	s.seq, s.n = seq, id.n
}

// end compares the sums with the count of the stream, and ticks it off.
func (s *stretch) end(counted map[kvs.StreamID]tally) {
	if s.sum.fragments == 0 {
		return
	}
	if t := counted[s.stream]; t != s.sum {
		f := finding(rebuild, 7, "the count of stream %d is %d fragments and %d bytes; there are %d and %d",
			s.stream, t.fragments, t.bytes, s.sum.fragments, s.sum.bytes)
		f.Stream = s.stream
		s.l.found(f)
	}
	delete(counted, s.stream)
}
