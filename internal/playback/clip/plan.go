package clip

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mp4"
	"github.com/millrace/millrace/internal/remux"
	"github.com/millrace/millrace/internal/tally"
)

// plan is a clip while its fragments are looked through.
type plan struct {
	o       *Options
	movie   *mp4.Movie
	tracks  []lane
	parts   []part
	headers headers
	before  *archive.Stored // the fragment before
	begin   int64           // of this one on the timeline, milliseconds
	samples []mp4.Sample    // memory
	load    int64           // what the file is at most, so far
	frames  int             // so far
	damaged []kvs.FragmentNumber
	why     error // of the first of them
}

// lane is a track of the file: one track of the fragments, as long as it keeps its codec.
type lane struct {
	number uint64
	kind   codec.Kind
	scale  uint32
	now    uint64 // fingerprint of its last sample description
}

// Bounds of what the head of a file takes.
const (
	headSize   = 8 << 10
	sampleSize = 4 + 4 + 8 + 8 // stsz, stss, stts, ctts
	chunkSize  = 8 + 12        // co64, stsc
)

func newPlan(o *Options) *plan {
	return &plan{o: o, load: headSize}
}

// start makes the file begin with a fragment. Of the very first one some may be left out.
func (p *plan) start(s *archive.Stored) {
	if s.Number != p.o.Fragments[0].Number {
		p.movie = mp4.NewMovie(s.Producer)
		return
	}
	p.movie = mp4.NewMovie(s.Producer + kvs.Millis(p.o.Skip))
	if p.o.Skip > 0 {
		p.movie.Begin(p.o.Skip)
	}
}

// leaveOut goes on without a fragment whose record is damaged.
func (p *plan) leaveOut(s *archive.Stored, err error) {
	if p.why == nil {
		p.why = err
	}
	p.damaged = append(p.damaged, s.Number)
}

// nothing says why the clip has no fragments.
func (p *plan) nothing() error {
	if p.why == nil {
		return kvs.Errorf(kvs.NotFound, "No fragments found in the stream for the clip.")
	}
	return &kvs.Error{Kind: kvs.Internal, Cause: p.why,
		Message: fmt.Sprintf("No fragment of the clip can be read; %d are damaged, the first of them is %s.", len(p.damaged), p.damaged[0])}
}

// fragment puts a fragment behind the others. It reports whether the clip is full without
// it.
func (p *plan) fragment(ctx context.Context, s *archive.Stored) (full bool, err error) {
	r, err := p.o.Archive.OpenRecord(ctx, *s)
	if kvs.KindOf(err) == kvs.NotFound && err != nil { // it expired meanwhile
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = r.Close() }()
	codecs, err := p.headers.of(r, s)
	if err != nil {
		return false, err
	}
	if len(p.parts) == 0 {
		if err := Check(codecs, p.o.Strict); err != nil {
			return false, err
		}
		p.start(s)
	} else if err := codec.Check(codecs); err != nil {
		return false, err
	}
	f, err := openFragment(r, s, codecs)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return p.add(f, s, codecs)
}

// maxFrames bounds the layout of a clip, which is in memory while it is sent: some 300 MB,
// two days and a half of 30 pictures a second with AAC.
const maxFrames = 1 << 24

// sample reads the media of a fragment. Producers whose frames are not what
// their header says are found before the file begins.
func sample(f *remux.Fragment, s *archive.Stored, pieces []remux.Part, size int64) (err error) {
	b := make([]byte, 0, size)
	for i := range pieces {
		if len(pieces[i].Samples) == 0 {
			continue
		}
		if b, err = f.AppendPayload(b, pieces[i].Track.Number); err != nil {
			return err
		}
	}
	return measured(s, int64(len(b)), size)
}

// measured fails unless a fragment's media have the size that its table of frames says.
func measured(s *archive.Stored, got, want int64) error {
	if got == want {
		return nil
	}
	return kvs.Errorf(kvs.Internal, "fragment %s has %d bytes of media where its table of frames says %d", s.Number, got, want)
}

// openFragment looks for the frames of a fragment.
func openFragment(r *archive.Reader, s *archive.Stored, codecs []codec.Track) (*remux.Fragment, error) {
	table, err := r.Frames()
	if err != nil {
		return nil, err
	}
	src := remux.Source{Table: table, Body: r, Size: r.Size(), Length: s.Duration, Tracks: codecs}
	if len(table) == 0 {
		if src.Header, err = readHeader(r); err != nil {
			return nil, err
		}
	}
	return remux.Open(src)
}

// add puts the samples of a fragment into the movie.
func (p *plan) add(f *remux.Fragment, s *archive.Stored, codecs []codec.Track) (full bool, err error) {
	begin := p.begin
	if p.before != nil {
		begin += tally.Step(&p.before.Fragment, &s.Fragment)
	}
	var pieces []remux.Part
	load, size := p.load, int64(0)
	memory := p.samples[:0]
	for i := range codecs {
		piece, err := f.Samples(memory[len(memory):], codecs[i].Number)
		if err != nil {
			return false, err
		}
		n := len(piece.Samples)
		memory = append(memory, piece.Samples...) // in place, unless the memory grew
		piece.Samples = memory[len(memory)-n:]
		pieces = append(pieces, piece)
		load += piece.Bytes + int64(n)*sampleSize + chunkSize
		size += piece.Bytes
	}
	p.samples = memory[:0]
	if p.frames += len(memory); p.frames > maxFrames {
		return false, kvs.Errorf(kvs.InvalidArgument, "A clip has at most %d frames; ask for a shorter range, this one has more.", maxFrames)
	}
	if p.o.MaxBytes > 0 && load > p.o.MaxBytes && len(p.parts) > 0 {
		return true, nil
	}
	if len(p.parts) == 0 {
		if err := sample(f, s, pieces, size); err != nil {
			return false, err
		}
	}
	part := part{stored: s, at: p.movie.Payload(), size: size, codecs: codecs}
	for i := range pieces {
		if len(pieces[i].Samples) == 0 {
			continue
		}
		if err := p.chunk(&pieces[i], begin); err != nil {
			return false, err
		}
		part.tracks = append(part.tracks, pieces[i].Track.Number)
	}
	p.parts = append(p.parts, part)
	p.before, p.begin, p.load = s, begin, load
	return false, nil
}

// chunk adds one track's samples.
func (p *plan) chunk(piece *remux.Part, begin int64) error {
	i, err := p.lane(piece.Track)
	if err != nil {
		return err
	}
	err = p.movie.Chunk(i, remux.Units(kvs.Millis(begin), piece.Scale)+piece.First, piece.Samples)
	if errors.Is(err, mp4.ErrMovie) { // maxFrames bounds the frames, so it is a pause
		longest := time.Duration(math.MaxUint32/piece.Scale) * time.Second
		return &kvs.Error{Kind: kvs.InvalidArgument, Cause: err,
			Message: fmt.Sprintf("Track %d pauses for more than %v, which a clip cannot hold; ask for a range that ends before or begins behind it.", piece.Track.Number, longest)}
	}
	return err
}

// lane returns the track of the file that a track goes on in.
func (p *plan) lane(t *codec.Track) (int, error) {
	for i := range p.tracks {
		l := &p.tracks[i]
		if l.number != t.Number || l.kind != t.Kind || l.scale != mp4.Timescale(t) {
			continue
		}
		if l.now == t.Fingerprint {
			return i, nil
		}
		l.now = t.Fingerprint
		return i, p.movie.Codec(i, t)
	}
	p.tracks = append(p.tracks, lane{t.Number, t.Kind, mp4.Timescale(t), t.Fingerprint})
	return p.movie.Track(t)
}
