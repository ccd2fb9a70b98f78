package playback

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

var (
	earliest = kvs.Selector{Type: kvs.StartEarliest}
	fromNow  = kvs.Selector{Type: kvs.StartNow}
)

func TestFramesLeaveAsTheyArrive(t *testing.T) {
	s := newStudio(t)
	s.stored(100)
	defer s.st.OpenSession()()
	k := s.open(true)
	k.frame(0, 1000)
	r := s.follow(fromNow, newSink()) // in the middle of a fragment: from its first byte
	for at := 40; at <= 200; at += 40 {
		r.until(len(documentHead) + len(k.sent))
		if !bytes.HasSuffix(r.bytes(), k.sent) {
			t.Fatal("what arrived was not sent")
		}
		k.frame(at, 1000)
	}
	k.store()
	r.until(len(documentHead) + len(k.sent) + 1)
	got := r.stop()
	wantChunks(t, got, k)
	if r.chunks != 1 || r.err != nil {
		t.Errorf("%d chunks, %v", r.chunks, r.err)
	}
}

// With a known size, or while two sessions are open, only whole fragments leave, in the
// order of their numbers.
func TestWholeFragmentsInOrder(t *testing.T) {
	for _, c := range []struct {
		name     string
		frames   bool
		sessions int
	}{{"known size", false, 1}, {"two sessions", true, 2}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openStudio(t, true)
				for range c.sessions {
					defer s.st.OpenSession()()
				}
				r := s.follow(earliest, newSink())
				a, b := s.open(c.frames), s.open(c.frames)
				a.frame(0, 100)
				b.frame(0, 100)
				synctest.Wait()
				b.store()
				synctest.Wait()
				if len(r.bytes()) != 0 {
					t.Error("something left before the first fragment was whole")
				}
				a.frame(40, 100)
				a.store()
				synctest.Wait()
				wantChunks(t, r.stop(), a, b)
			})
		})
	}
}

// A fragment that was sent frame by frame is sent to its end when a second session
// begins, and the second session's comes after it.
func TestASecondSessionBeginsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStudio(t, true)
		defer s.st.OpenSession()()
		r := s.follow(earliest, newSink())
		a := s.open(true)
		a.frame(0, 100)
		synctest.Wait()
		sent := len(r.bytes())
		if sent == 0 {
			t.Error("the first frame was not sent")
		}
		end := s.st.OpenSession()
		b := s.open(true)
		b.frame(0, 100)
		b.store()
		a.frame(40, 100)
		a.store()
		synctest.Wait()
		end()
		wantChunks(t, r.stop(), a, b)
	})
}

func TestAFragmentThatFailsAfterItsFramesLeft(t *testing.T) {
	s := newStudio(t)
	defer s.st.OpenSession()()
	r := s.follow(earliest, newSink())
	k := s.open(true)
	k.frame(0, 1000)
	r.until(len(documentHead) + len(k.sent))
	k.Fail()
	next := s.stored(100)
	r.until(2*len(documentHead) + len(k.sent) + len(next.sent))
	got := r.stop()
	if len(got) != 2 || got[0].whole || !bytes.Equal(got[0].body, k.sent) {
		t.Fatalf("got %+v", got)
	}
	wantChunks(t, got[1:], next)
	if r.chunks != 1 {
		t.Errorf("%d chunks were whole", r.chunks)
	}
}

// What was sent of it ends inside a frame, so nothing can follow: the body ends, and the
// consumer goes on with a new call.
func TestAFragmentThatFailsInTheMiddleOfAnElement(t *testing.T) {
	s := newStudio(t)
	defer s.st.OpenSession()()
	o := newSink()
	o.gate = make(chan struct{})
	r := s.follow(earliest, o)
	k := s.open(true)
	k.frame(0, 3*bufferSize)
	for range 3 { // header, tags, a first piece
		o.gate <- struct{}{}
	}
	k.Fail()
	close(o.gate)
	<-r.done
	if r.err != nil || r.chunks != 0 {
		t.Errorf("%d chunks, %v", r.chunks, r.err)
	}
	if !bytes.HasSuffix(r.bytes(), k.sent[:bufferSize]) && !bytes.HasSuffix(r.bytes(), k.sent[:2*bufferSize]) {
		t.Errorf("%d bytes were sent", len(r.bytes()))
	}
}

// A consumer that stops in the middle of a fragment finds it in the archive, at the
// byte where it stopped.
func TestSlowReadersGoOnInTheArchive(t *testing.T) {
	s := newStudio(t)
	o := newSink()
	o.gate = make(chan struct{})
	k := s.stored(5 * bufferSize / 2)
	r := s.follow(earliest, o)
	for range 4 {
		o.gate <- struct{}{}
	}
	s.evict()
	next := s.stored(100)
	s.evict()
	close(o.gate)
	r.until(2*len(documentHead) + len(k.sent) + len(next.sent))
	wantChunks(t, r.stop(), k, next)
}

// Without retention there is no archive to go on in.
func TestSlowReadersOfStreamsWithoutRetention(t *testing.T) {
	s := newStudio(t)
	s.stream.setRetention(0)
	host := func(size int) *take {
		k := s.open(true)
		k.frame(0, size)
		k.complete(true)
		return k
	}
	a, b := host(100), host(100)
	r := s.follow(earliest, newSink())
	r.until(2 * len(documentHead))
	wantChunks(t, r.stop(), a, b)

	o := newSink()
	o.gate = make(chan struct{})
	slow := s.follow(kvs.Selector{Type: kvs.StartAfter, Number: b.Info().Number}, o)
	c := host(3 * bufferSize)
	for range 3 {
		o.gate <- struct{}{}
	}
	s.evict()
	close(o.gate)
	<-slow.done
	if slow.err != nil || slow.chunks != 0 {
		t.Errorf("%d chunks, %v", slow.chunks, slow.err)
	}

	// Evicted when its last byte had left: the chunk is whole.
	o = newSink()
	o.hook = func(write int) {
		if write == 3 { // header, tags, and all there is of the body
			s.evict()
		}
	}
	d := host(100)
	last := s.follow(kvs.Selector{Type: kvs.StartAfter, Number: c.Info().Number}, o)
	last.until(len(documentHead) + len(d.sent))
	wantChunks(t, last.stop(), d)
}

func TestTheSessionEndsWhenNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStudio(t, true)
		start := time.Now()
		r := s.follow(fromNow, newSink())
		<-r.done
		if d := time.Since(start); d != 3*time.Second || r.err != nil {
			t.Errorf("ended after %v with %v", d, r.err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a fragment that grows keeps it open, sent or not
		s := openStudio(t, true)
		r := s.follow(fromNow, newSink())
		k := s.open(false)
		for i := range 20 {
			k.frame(i, 10)
			time.Sleep(time.Second)
		}
		k.store()
		stored := time.Now()
		<-r.done
		if d := time.Since(stored); d != 3*time.Second {
			t.Errorf("ended %v after the last byte", d)
		}
		wantChunks(t, r.wait(), k)
	})
	synctest.Test(t, func(t *testing.T) {
		s := openStudio(t, true)
		s.options.Idle = nil
		r := s.follow(fromNow, newSink())
		time.Sleep(24 * time.Hour)
		k := s.stored(10)
		synctest.Wait()
		wantChunks(t, r.stop(), k)
	})
}

func TestADeletedStream(t *testing.T) {
	s := newStudio(t)
	k := s.stored(10)
	r := s.follow(earliest, newSink())
	r.until(len(documentHead))
	close(s.stream.gone)
	got := r.wait()
	wantChunks(t, got[:1], k)
	want := map[string]string{tagNumber: k.Info().Number.String(), tagErrorID: "4000", tagErrorCode: "The stream was deleted."}
	if r.err != nil || len(got) != 2 || len(got[1].tags) != 3 || got[1].tags[tagErrorID] != want[tagErrorID] || got[1].tags[tagNumber] != want[tagNumber] || got[1].tags[tagErrorCode] != want[tagErrorCode] {
		t.Errorf("%v: %+v", r.err, got)
	}
}

// broken is an archive some of whose answers fail.
type broken struct {
	Archive
	next, open error
}

func (b broken) Next(ctx context.Context, id kvs.StreamID, after kvs.FragmentNumber, h kvs.Millis) (archive.Stored, bool, error) {
	if b.next != nil {
		return archive.Stored{}, false, b.next
	}
	return b.Archive.Next(ctx, id, after, h)
}

func (b broken) OpenRecord(ctx context.Context, s archive.Stored) (*archive.Reader, error) {
	if b.open != nil && s.Number.N == 2 {
		return nil, b.open
	}
	return b.Archive.OpenRecord(ctx, s)
}

func TestWhatCannotBeRead(t *testing.T) {
	s := newStudio(t)
	a, b, c := s.stored(10), s.stored(10), s.stored(10)
	s.evict()
	damage := errors.New("damaged")
	for _, x := range []struct {
		name string
		with broken
		want []*take // then an error, if there is one
		err  error
	}{
		{"a record", broken{s.archive, nil, damage}, []*take{a}, damage},
		{"a record that expired meanwhile", broken{s.archive, nil, kvs.Errorf(kvs.NotFound, "gone")}, []*take{a, c}, nil},
		{"the index", broken{s.archive, damage, nil}, nil, damage},
	} {
		t.Run(x.name, func(t *testing.T) {
			s.options.Archive = x.with
			r := s.follow(earliest, newSink())
			if x.err == nil {
				r.until(0)
				wantChunks(t, r.stop(), x.want...)
				return
			}
			got := r.wait()
			if !errors.Is(r.err, x.err) {
				t.Errorf("got %v", r.err)
			}
			wantChunks(t, got[:len(got)-1], x.want...)
			if last := got[len(got)-1].tags; last[tagErrorID] != "5000" || last[tagServer] != "" || strings.Contains(last[tagErrorCode], "damaged") {
				t.Errorf("the reader is told %v", last)
			}
		})
	}
	_ = b
}

// A consumer that leaves while the archive is asked is no failure of the archive.
func TestConsumersLeave(t *testing.T) {
	s := newStudio(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o := newSink()
	if _, err := New(s.options).Follow(ctx, s.stream, earliest, o); err != nil {
		t.Error(err)
	}
	if len(o.bytes()) != 0 {
		t.Errorf("it is told %v", parse(t, o.bytes()))
	}
	s.stored(10)
	o.fail = errors.New("connection reset")
	if _, err := New(s.options).Follow(t.Context(), s.stream, earliest, o); !errors.Is(err, o.fail) {
		t.Errorf("got %v", err)
	}
}

func TestMillisBehindNow(t *testing.T) {
	s := newStudio(t)
	for range 4 {
		s.stored(10)
		s.pass(2 * time.Second)
	}
	s.evict()
	s.stored(10)
	var got []string
	r := s.follow(earliest, newSink())
	r.until(0)
	for _, c := range r.stop() {
		got = append(got, c.tags[tagBehind])
	}
	if want := []string{"8000", "6000", "4000", "2000", "0"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What expires in front of a consumer is passed over.
func TestExpiryInTheMiddle(t *testing.T) {
	s := newStudio(t)
	var all []*take
	for range 6 {
		all = append(all, s.stored(10))
		s.pass(time.Hour)
	}
	s.evict()
	o := newSink()
	o.gate = make(chan struct{})
	r := s.follow(earliest, o)
	o.gate <- struct{}{} // in the first chunk
	s.stream.setRetention(3)
	close(o.gate)
	r.until(0)
	wantChunks(t, r.stop(), all[0], all[3], all[4], all[5])
}

func TestPick(t *testing.T) {
	s := newStudio(t)
	a, b, c := s.stored(10), s.stored(2*bufferSize), s.stored(10)
	s.evict()
	number := func(k *take) string { return k.Info().Number.String() }
	s.options.Archive = broken{s.archive, nil, errors.New("damaged")}
	p := New(s.options)
	o := newSink()
	list := []string{number(c), number(a), "1", number(b), number(c), strings.Repeat("9", 128), number(a)}
	sent, err := p.Pick(t.Context(), s.stream, list, o)
	if err != nil || sent != 4 {
		t.Fatalf("%d sent, %v", sent, err)
	}
	got := parse(t, o.bytes())
	want := []struct {
		k     *take
		error string
	}{{c, ""}, {a, ""}, {nil, "4000"}, {nil, "5000"}, {c, ""}, {nil, "4000"}, {a, ""}}
	for i, w := range want {
		g := got[i].tags
		if g[tagNumber] != list[i] || g[tagPickCode] != w.error || (w.error == "") != (g[tagServer] != "") {
			t.Errorf("document %d: %v", i, g)
		}
		if w.k != nil && (!bytes.Equal(got[i].body, w.k.sent) || g[tagToken] != "") {
			t.Errorf("document %d has other media", i)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d documents", len(got))
	}
	// The whole of a large one, and what is no longer kept.
	s.options.Archive = s.archive
	o = newSink()
	if _, err := New(s.options).Pick(t.Context(), s.stream, []string{number(b)}, o); err != nil || !bytes.Equal(parse(t, o.bytes())[0].body, b.sent) {
		t.Errorf("large fragment: %v", err)
	}
	s.stream.setRetention(0)
	s.pass(time.Second)
	o = newSink()
	if sent, err := New(s.options).Pick(t.Context(), s.stream, []string{number(a)}, o); sent != 0 || err != nil || parse(t, o.bytes())[0].tags[tagPickCode] != strconv.Itoa(int(fragmentNotFound)) {
		t.Errorf("expired: %d, %v", sent, err)
	}
	o.fail = errors.New("connection reset")
	if _, err := p.Pick(t.Context(), s.stream, list, o); !errors.Is(err, o.fail) {
		t.Errorf("got %v", err)
	}
}
