package live

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

func TestReadersSeeOnlyWhatWasPublished(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	f := r.begin(st, true)
	if n, published, err := f.ReadAt(make([]byte, 10), 0); n != 0 || published != 0 || err != nil {
		t.Errorf("an empty fragment: %d of %d bytes, %v", n, published, err)
	}
	all := content(1, 3*PageSize)
	var sent int
	for _, step := range []struct {
		bytes   int
		publish bool
		want    int
	}{
		{100, false, 0},
		{50, true, 150},
		{PageSize - 151, false, 150}, // all but one byte of the first page
		{2, true, PageSize + 1},      // across the border
		{PageSize - 1, true, 2 * PageSize},
		{7, false, 2 * PageSize},
	} {
		if err := f.Append(t.Context(), all[sent:sent+step.bytes]); err != nil {
			t.Fatal(err)
		}
		sent += step.bytes
		if step.publish {
			f.Publish()
		}
		got, err := read(f)
		if err != nil || !bytes.Equal(got, all[:step.want]) || f.Published() != int64(step.want) || f.Size() != int64(sent) {
			t.Fatalf("after %d bytes: read %d, published %d, size %d, %v; want %d", sent, len(got), f.Published(), f.Size(), err, step.want)
		}
	}
	r.wantPages(3)
	body := r.complete(f, false)
	if got := bytes.Join(body, nil); !bytes.Equal(got, all[:sent]) {
		t.Errorf("the archive gets %d bytes, want the %d that were sent", len(got), sent)
	}
	if f.Info().Size != int64(sent) || f.Published() != int64(sent) {
		t.Errorf("size %d, published %d, want %d", f.Info().Size, f.Published(), sent)
	}
	got := make([]byte, len(header.Bytes)+5)
	if n, size, err := f.HeaderAt(got, 2); err != nil || size != int64(len(header.Bytes)) || !bytes.Equal(got[:n], header.Bytes[2:]) {
		t.Errorf("%q of a header of %d bytes: %v", got[:n], size, err)
	}
	f.Fail()
	if _, _, err := f.HeaderAt(got, 0); !errors.Is(err, ErrEvicted) || f.header != nil {
		t.Errorf("the header of a failed fragment is held: %v", err)
	}
	r.wantPages(0)
}

func TestAFragmentOfWholePages(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	f := r.begin(r.Acquire(1), false)
	r.fill(f, 2*PageSize)
	r.wantPages(2)
	body := r.complete(f, true)
	if len(body) != 2 || len(body[1]) != PageSize {
		t.Errorf("%d pieces, want two whole pages", len(body))
	}
	r.wantBytes(f, 2*PageSize)
}

func TestStates(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	f, g := r.begin(st, true), r.begin(st, true)
	begun := r.time()
	wantState := func(f *Fragment, state State, last time.Time) {
		t.Helper()
		if s, at := f.State(); s != state || !at.Equal(last) {
			t.Errorf("state %v at %v, want %v at %v", s, at, state, last)
		}
	}
	wantState(f, Arriving, begun)
	r.pass(time.Second)
	f.Publish()
	wantState(f, Arriving, begun.Add(time.Second))
	r.pass(time.Second)
	r.fill(f, 10) // half a frame
	wantState(f, Arriving, begun.Add(2*time.Second))
	r.complete(f, false)
	f.Archived()
	wantState(f, Complete, begun.Add(2*time.Second))
	g.Fail()
	wantState(g, Failed, begun)
}

// Frames leave one by one only while one session is open and the cluster has unknown
// size (decided rules, GetMedia).
func TestFramesLeaveWhileOneSessionIsOpen(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	wake := st.Subscribe()
	defer wake.Close()
	unknown, known := r.begin(st, true), r.begin(st, false)
	want := func(frames bool) {
		t.Helper()
		if unknown.FrameWise() != frames || known.FrameWise() {
			t.Errorf("frame-wise: unknown size %v, known size %v; want %v, false", unknown.FrameWise(), known.FrameWise(), frames)
		}
		woken(wake)
		known.Publish()
		if woken(wake) {
			t.Error("readers were woken for a fragment that is not for them yet")
		}
		unknown.Publish()
		if woken(wake) != frames {
			t.Errorf("readers were woken: %v", !frames)
		}
	}
	want(false) // no session: nobody knows who else comes
	end1 := st.OpenSession()
	want(true)
	end2 := st.OpenSession()
	want(false)
	woken(wake)
	end1()
	if !woken(wake) {
		t.Error("readers were not told that frames may leave again")
	}
	want(true)
	end2()
}

func TestReadersAreWoken(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	a, b := st.Subscribe(), st.Subscribe()
	var f *Fragment
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"begun", func() { f = r.begin(st, false) }},
		{"completed", func() { r.complete(f, true) }},
		{"evicted", func() { r.pass(time.Hour); r.sweep() }},
		{"another begun", func() { f = r.begin(st, false) }},
		{"failed", func() { f.Fail() }},
		{"many changes", func() { r.begin(st, false).Fail(); r.begin(st, false).Fail() }},
	} {
		woken(a)
		woken(b)
		step.do()
		if !woken(a) || !woken(b) {
			t.Errorf("%s: not all readers were woken", step.what)
		}
		if woken(a) {
			t.Errorf("%s: woken twice", step.what)
		}
	}
	a.Close()
	woken(b)
	r.begin(st, false).Fail()
	if woken(a) || !woken(b) {
		t.Error("a closed reader is woken, or an open one is not")
	}
	b.Close()
	b.Close() // harmless
	if len(st.readers) != 0 {
		t.Errorf("%d readers are left", len(st.readers))
	}
}

func TestAReaderOfAnEvictedFragmentIsTold(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	f := r.archived(st, 3*PageSize)
	p := make([]byte, PageSize+5)
	if n, _, err := f.ReadAt(p, 0); n != len(p) || err != nil {
		t.Fatal(n, err)
	}
	r.pass(keepArchived)
	r.sweep()
	r.wantEvicted(f)
	// Its memory is used again; the reader must not see that.
	g := r.begin(st, true)
	r.fill(g, 3*PageSize)
	g.Publish()
	if n, _, err := f.ReadAt(p, PageSize+5); n != 0 || err == nil {
		t.Errorf("read %d bytes of an evicted fragment, %v", n, err)
	}
	r.wantBytes(g, 3*PageSize)
	g.Fail()
	r.wantEvicted(g)
}

// What the archive was given stays untouched until it is done, even when the stream is
// dropped and other fragments want memory.
func TestTheArchivesBytesStayUntouched(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	f := r.begin(st, false)
	r.fill(f, 2*PageSize)
	body := r.complete(f, false)
	r.Drop(1)
	for range 10 {
		r.begin(st, false)
		g := r.begin(st, false)
		r.fill(g, 5*PageSize)
	}
	if !bytes.Equal(bytes.Join(body, nil), content(1, 2*PageSize)) {
		t.Error("the bytes changed while the archive had them")
	}
}

// A frame costs no allocation: not appended, not published, not read.
func TestAFrameCostsNoAllocation(t *testing.T) {
	r := newRoom(t, 4000*PageSize, Options{})
	st := r.Acquire(1)
	defer st.OpenSession()()
	wake := st.Subscribe()
	defer wake.Close()
	f := r.begin(st, true)
	frame, buf := content(1, 300), make([]byte, 4096)
	var off int64
	perFrame := testing.AllocsPerRun(1000, func() {
		_ = f.Append(t.Context(), frame)
		f.Publish()
		if woken(wake) {
			n, _, _ := f.ReadAt(buf, off)
			off += int64(n)
		}
	})
	if perFrame != 0 || off < 300*1000 {
		t.Errorf("%v allocations per frame, %d bytes read", perFrame, off)
	}
	f.Fail()
}

// A steady stream lives on freed pages.
func TestASteadyStreamAllocatesNoPages(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	data := make([]byte, 10*PageSize)
	round := func() {
		f, _ := st.Begin(func() (kvs.FragmentNumber, error) { return kvs.FragmentNumber{N: st.Newest().N + 1}, nil }, 0, header, false)
		_ = f.Append(t.Context(), data)
		_, _ = f.Complete(f.Info(), false)
		f.Archived()
		st.dropAll()
	}
	if n := testing.AllocsPerRun(100, round); n > 12 {
		t.Errorf("%v allocations for a fragment of 10 pages", n)
	}
	r.wantPages(0)
}
