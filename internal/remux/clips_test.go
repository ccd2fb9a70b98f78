package remux

import (
	"bytes"
	"testing"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/remux/remuxtest"
)

// open opens a fragment of a test; without a table if walked.
func open(t testing.TB, f *remuxtest.Fragment, walked bool) *Fragment {
	t.Helper()
	tracks, err := codec.Tracks(f.Header)
	if err != nil {
		t.Fatal(err)
	}
	s := Source{Table: f.Table, Header: f.Header, Body: bytes.NewReader(f.Body), Size: int64(len(f.Body)), Length: f.Length, Tracks: tracks}
	if walked {
		s.Table = nil
	}
	got, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(got.Close)
	return got
}

// data joins what a producer sent of a track.
func data(f *remuxtest.Fragment, number uint64) (all []byte) {
	for _, r := range f.Frames {
		if r.Track == number {
			all = append(all, r.Data...)
		}
	}
	return all
}

// Payloads are the frames as they were sent, whether a table or the body tells them, and
// the same when the producer sent start codes.
func TestPayloadsAreTheFramesOfTheClips(t *testing.T) {
	for _, c := range mediatest.Clips() {
		plain := remuxtest.Cut(t, c.Bytes())
		coded := remuxtest.Cut(t, remuxtest.StartCodes(t, c.Bytes()))
		for i := range plain {
			for _, number := range []uint64{c.VideoTrack, c.AudioTrack} {
				if number == 0 {
					continue
				}
				want := data(&plain[i], number)
				var first Part
				for n, f := range []*Fragment{open(t, &plain[i], false), open(t, &plain[i], true), open(t, &coded[i], false), open(t, &coded[i], true)} {
					p := check(t, f, number)
					if got, err := f.AppendPayload(nil, number); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s, fragment %d, track %d, form %d: %d bytes, want %d: %v", c.Name, i, number, n, len(got), len(want), err)
					}
					if n == 0 {
						first = p
					}
					if p.First != first.First || p.Length != first.Length || p.Bytes != first.Bytes || len(p.Samples) != len(first.Samples) {
						t.Errorf("%s, fragment %d, track %d, form %d: other samples", c.Name, i, number, n)
					}
				}
			}
		}
	}
}

// check fails unless the samples of a track agree with each other and with the payload.
func check(t testing.TB, f *Fragment, number uint64) Part {
	t.Helper()
	p, err := f.Samples(nil, number)
	if err != nil {
		t.Fatal(err)
	}
	var size, length int64
	for i, s := range p.Samples {
		size, length = size+int64(s.Size), length+int64(s.Duration)
		if s.Duration == 0 || s.Size == 0 || i == 0 && !s.Key {
			t.Errorf("sample %d is %+v", i, s)
		}
	}
	if size != p.Bytes || length != p.Length {
		t.Errorf("%d bytes in %d units, want the sums %d and %d", p.Bytes, p.Length, size, length)
	}
	payload, err := f.AppendPayload([]byte("before"), number)
	if err != nil || int64(len(payload)) != 6+size {
		t.Errorf("%d bytes of payload, want %d: %v", len(payload)-6, size, err)
	}
	return p
}
