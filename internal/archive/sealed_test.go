package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

func TestReaderOfSealedRecords(t *testing.T) {
	p := plant(t)
	var recs []Record
	for i, size := range []int{0, 1, segment.ChunkSize - 1, segment.ChunkSize, segment.ChunkSize + 1, 5*segment.ChunkSize + 77, 4 * segment.ChunkSize} {
		recs = append(recs, sample(1, int64(i+1), size))
	}
	recs[0].Header = bytes.Join(media(3, 3, 3*segment.ChunkSize+77), nil)
	p.segment(5).put(false, recs...).sealed().save(p.o.Dir)
	p.inOpen(func(a *Archive) {
		for i := range recs {
			s, ok, err := a.Get(context.Background(), 1, recs[i].Fragment.Number, 0)
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			r, err := a.OpenRecord(context.Background(), s)
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Join(recs[i].Body, nil)
			if err := iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), want); err != nil {
				t.Errorf("%d bytes: %v", len(want), err)
			}
			for off := 0; off <= len(want); off += 1 + len(want)/11 {
				var b bytes.Buffer
				if n, err := r.WriteFrom(&b, int64(off)); err != nil || n != int64(len(want)-off) || !bytes.Equal(b.Bytes(), want[off:]) {
					t.Errorf("%d bytes from %d: %d, %v", len(want), off, n, err)
				}
			}
			for off := 0; off <= len(recs[0].Header); off += 33_333 {
				var b bytes.Buffer
				if _, err := r.WriteHeader(&b, int64(off)); err != nil || !bytes.Equal(b.Bytes(), recs[0].Header[off:]) {
					t.Errorf("header from %d: %d bytes, %v", off, b.Len(), err)
				}
			}
			if b, err := r.Frames(); err != nil || !bytes.Equal(b, framesOf(&recs[i])) {
				t.Errorf("%d bytes of frames, %v", len(b), err)
			}
			if err := errors.Join(r.Close(), r.Close()); err != nil {
				t.Error(err)
			}
			if _, err := r.Frames(); err == nil {
				t.Error("reads after Close")
			}
		}
	})
}

// watched counts damage.
type watched struct {
	nobody
	damaged int
}

func (w *watched) Damaged() { w.damaged++ }

// What was punched is gone; what rots while its row is there is damaged.
func TestDamageAndHolesAreToldApart(t *testing.T) {
	for what, at := range map[string]func(s *sheet) int64{
		"head":          func(s *sheet) int64 { return s.ends[0] + 50 },
		"facts":         func(s *sheet) int64 { return s.ends[0] + segment.RecordHeadSize + 20 },
		"body":          func(s *sheet) int64 { return s.ends[0] + 70_000 },
		"frame table":   func(s *sheet) int64 { return s.ends[1] - 30 },
		"header record": func(s *sheet) int64 { return s.headers[1] + 10 },
		"header":        func(s *sheet) int64 { return s.headers[1] + segment.RecordHeadSize + 16 },
	} {
		p := plant(t)
		w := &watched{}
		p.o.Observer = w
		s := p.segment(5).put(false, sample(1, 1, 100), sample(1, 2, 200_000), sample(1, 3, 10)).sealed()
		rot := at(s)
		s.Bytes[rot] ^= 8
		s.save(p.o.Dir)
		p.inOpen(func(a *Archive) {
			stored, ok, err := a.Get(context.Background(), 1, sample(1, 2, 0).Fragment.Number, 0)
			if !ok || err != nil {
				t.Fatalf("%s: %v, %v", what, ok, err)
			}
			readAll := func() error {
				r, err := a.OpenRecord(context.Background(), stored)
				if err != nil {
					return err
				}
				_, err1 := r.WriteHeader(io.Discard, 0)
				_, err2 := r.WriteTo(io.Discard)
				_, err3 := r.Frames()
				return errors.Join(err1, err2, err3, r.Close())
			}
			if err := readAll(); kvs.KindOf(err) != kvs.Internal || w.damaged != 1 {
				t.Errorf("%s: %v, counted %d", what, err, w.damaged)
			}
			if _, err := a.Erase(context.Background(), 1, Erasure{Range: kvs.TimeRange{Start: stored.Number.Server, End: stored.Number.Server}, Through: 2}); err != nil {
				t.Fatal(err)
			}
			if err := readAll(); kvs.KindOf(err) != kvs.NotFound || w.damaged != 1 {
				t.Errorf("%s: without its row: %v, counted %d", what, err, w.damaged)
			}
		})
	}
}

// A row that was read before its record moved leads to the record all the same.
func TestAReaderFollowsARecordThatMoved(t *testing.T) {
	p := plant(t)
	recs := numbered(1, 1, 3, 400)
	p.segment(5).put(false, recs...).sealed().save(p.o.Dir)
	p.segment(9).put(true, recs...).sealed().save(p.o.Dir)
	p.inOpen(func(a *Archive) {
		s, _, err := a.Get(context.Background(), 1, recs[1].Fragment.Number, 0)
		if err != nil || s.segment != 9 {
			t.Fatal(s, err)
		}
		s.segment = 4
		r, err := a.OpenRecord(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestErrorsOfKeysPassThrough(t *testing.T) {
	p := plant(t)
	p.segment(5).put(false, sample(1, 1, 100)).sealed().save(p.o.Dir)
	id := p.key(1).ID
	if err := p.o.Keys.Forget(1); err != nil {
		t.Fatal(err)
	}
	p.inOpen(func(a *Archive) {
		s, _, err := a.Newest(context.Background(), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, want := p.o.Keys.Key(context.Background(), 1, id)
		if _, err := a.OpenRecord(context.Background(), s); want == nil || err == nil || err.Error() != want.Error() {
			t.Errorf("%v, want %v", err, want)
		}
	})
}

func TestASegmentIsExclusiveOnlyWhileNobodyReads(t *testing.T) {
	p := plant(t)
	recs := numbered(1, 1, 1, 400)
	p.segment(5).put(false, recs...).sealed().save(p.o.Dir)
	p.inOpen(func(a *Archive) {
		s, _, err := a.Newest(context.Background(), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.OpenRecord(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		never := func() error { t.Error("called while somebody reads"); return nil }
		if quiet, err := a.files.exclusive(5, never); quiet || err != nil {
			t.Error(quiet, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		opened := make(chan error, 1)
		quiet, err := a.files.exclusive(5, func() error {
			if again, err := a.files.exclusive(5, never); again || err != nil {
				t.Error(again, err)
			}
			go func() {
				r, err := a.OpenRecord(context.Background(), s)
				if err == nil {
					err = r.Close()
				}
				opened <- err
			}()
			select {
			case err := <-opened:
				t.Errorf("opened meanwhile: %v", err)
			default:
			}
			return io.ErrUnexpectedEOF
		})
		if !quiet || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(quiet, err)
		}
		if err := <-opened; err != nil {
			t.Error(err)
		}
	})
}

// The data keys of a deleted stream go before the last of its rows may.
func TestWhatADeletedStreamLeftIsGone(t *testing.T) {
	p := plant(t)
	p.segment(5).put(false, sample(2, 1, 100)).sealed().save(p.o.Dir)
	if err := p.o.Keys.Forget(2); err != nil {
		t.Fatal(err)
	}
	p.o.Policy = onlyStreamOne
	p.inOpen(func(a *Archive) {
		s, _, err := a.Newest(context.Background(), 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.OpenRecord(context.Background(), s); kvs.KindOf(err) != kvs.NotFound {
			t.Errorf("%v", err)
		}
	})
}
