package playback

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// Readers of all speeds see every fragment once, in order and byte for byte, however
// fragments leave the live buffer under them and whatever fails on the way.
func TestTheSwitchLosesAndDoublesNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { switches(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func switches(t *testing.T, rnd *rand.Rand) {
	s := newStudio(t)
	s.options.Idle = nil
	stop := make(chan struct{})
	var others, readers sync.WaitGroup
	defer others.Wait()
	defer close(stop)
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.budget.reclaim(1) // the oldest
				runtime.Gosched()
			}
		}
	})
	final := &ending{known: make(chan struct{})}
	got := make([][]chunk, 4)
	var sinks [4]*sink
	for i := range got {
		sinks[i] = newSink()
		if i%2 == 0 {
			sinks[i].gate = make(chan struct{})
			others.Go(func() { drip(stop, sinks[i].gate, uint64(i)) })
		}
		readers.Go(func() { got[i] = s.consume(sinks[i], final) })
	}
	all := s.produce(rnd)
	final.number = all[len(all)-1].Info().Number.String()
	close(final.known)
	readers.Wait()
	for i := range got {
		wantChunks(t, got[i], all...)
	}
}

// produce puts fragments of all sorts, of which some fail, and returns the good ones.
func (s *studio) produce(rnd *rand.Rand) (all []*take) {
	defer s.st.OpenSession()()
	for range 60 {
		k := s.open(rnd.IntN(3) > 0)
		for at := range rnd.IntN(3) + 1 {
			k.frame(at, rnd.IntN(2*bufferSize)+1)
		}
		if rnd.IntN(10) == 0 {
			k.Fail()
			continue
		}
		k.store()
		all = append(all, k)
	}
	return all
}

// ending is the number of the final chunk, once it is known.
type ending struct {
	known  chan struct{}
	number string
}

// consume reads as clients do: when a session ends it goes on with another behind the
// last chunk that was whole, until that is the final one.
func (s *studio) consume(o *sink, final *ending) (all []chunk) {
	last, known, sel := "", final.known, earliest
	for {
		r := s.follow(sel, o)
		// The final chunk may have come in an earlier session, which one that failed ended.
		for ended := false; !ended && !o.sentWhole(last) && (last == "" || last != sel.Number.String()); {
			select {
			case <-known:
				last, known = final.number, nil
			case <-o.flushed:
			case <-r.done:
				ended = true
			}
		}
		done := o.sentWhole(last)
		r.cancel()
		<-r.done
		got := whole(parse(s.t, o.bytes()))
		if all = append(all, got...); len(got) > 0 {
			sel.Type = kvs.StartAfter
			sel.Number, _ = kvs.ParseFragmentNumber(got[len(got)-1].tags[tagToken])
		}
		if done || last != "" && last == sel.Number.String() {
			return all
		}
		o.buf.Reset()
	}
}

// sentWhole reports whether the chunk of that number was sent to its last tag. Frames of
// a later fragment, one that failed, may stand behind it.
func (o *sink) sentWhole(number string) bool {
	if number == "" {
		return false
	}
	tail := appendTags(nil, tagToken, number)
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Contains(o.buf.Bytes(), tail[bytes.Index(tail, []byte(tagToken)):])
}

// whole leaves out what failed after its frames left.
func whole(chunks []chunk) []chunk {
	return slices.DeleteFunc(chunks, func(c chunk) bool { return !c.whole })
}

// drip lets writes through in bursts until stop is closed.
func drip(stop, gate chan struct{}, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	for {
		for range rnd.IntN(20) {
			select {
			case gate <- struct{}{}:
			case <-stop:
				return
			}
		}
		runtime.Gosched()
	}
}

// frames through live buffer and reader must not cost memory each.
func TestFramesCostNoAllocation(t *testing.T) {
	s := newStudio(t)
	end := s.st.OpenSession()
	defer end()
	o := &counter{progress: make(chan int64, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = New(s.options).Follow(ctx, s.stream, earliest, o)
	}()
	k := s.open(true)
	frame := k.frameBytes(500)
	want := int64(0)
	put := func() {
		if err := k.Append(ctx, frame); err != nil {
			t.Error(err)
		}
		k.Publish()
		want += int64(len(frame))
		for got := range o.progress {
			if got >= want {
				return
			}
		}
	}
	for range 200 { // pages and timers are there afterwards
		put()
	}
	if n := testing.AllocsPerRun(2000, put); n >= 1 {
		t.Errorf("%v allocations for each frame", n)
	}
	k.Fail()
	cancel()
	<-done
}

// counter counts what it is sent.
type counter struct {
	n        int64
	progress chan int64
}

func (c *counter) Write(b []byte) (int, error) { c.n += int64(len(b)); return len(b), nil }

func (c *counter) Chunk(kvs.Fragment) error { return nil }

func (c *counter) Flush() error {
	select {
	case <-c.progress:
	default:
	}
	c.progress <- c.n
	return nil
}

func (k *take) frameBytes(size int) []byte {
	before := len(k.sent)
	k.frame(0, size)
	return k.sent[before:]
}
