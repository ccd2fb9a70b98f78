package crashtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// fate is what is known about a fragment.
type fate int

const (
	waiting fate = iota // on its way: may be found or not
	kept                // acknowledged: must be found
	refused             // never to be found
	going               // being removed: may be found or not
	gone                // removed: never to be found again
)

func (f fate) String() string {
	return [...]string{"on its way", "acknowledged", "refused", "being removed", "removed"}[f]
}

// fragment names one of a stream.
type fragment struct {
	stream kvs.StreamID
	n      int64
}

// truth is what the world knows about an archive, and all that it must answer for.
type truth struct {
	mu       sync.Mutex // the archive asks for policies from its own goroutines
	now      kvs.Millis
	fates    map[fragment]fate
	sizes    map[fragment]int // of the media
	servers  map[fragment]kvs.Millis
	policies map[kvs.StreamID]archive.Policy // none: the stream is deleted
	numbers  map[kvs.StreamID]int64          // the next
}

func newTruth() *truth {
	return &truth{
		now: 1_700_000_000_000, fates: map[fragment]fate{}, sizes: map[fragment]int{},
		servers: map[fragment]kvs.Millis{}, policies: map[kvs.StreamID]archive.Policy{}, numbers: map[kvs.StreamID]int64{},
	}
}

// clone returns the truth of this moment.
func (t *truth) clone() *truth {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &truth{
		now: t.now, fates: maps.Clone(t.fates), sizes: maps.Clone(t.sizes),
		servers: maps.Clone(t.servers), policies: maps.Clone(t.policies), numbers: maps.Clone(t.numbers),
	}
}

func (t *truth) policy(_ context.Context, id kvs.StreamID) (archive.Policy, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.policies[id]; ok {
		return p, nil
	}
	return archive.Policy{}, kvs.Errorf(kvs.NotFound, "there is no stream %d", id)
}

func (t *truth) set(f fragment, to fate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fates[f] = to
}

// change gives all fragments of one fate another one, where which agrees.
func (t *truth) change(from, to fate, which func(fragment) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f, is := range t.fates {
		if is == from && which(f) {
			t.fates[f] = to
		}
	}
}

func (t *truth) exists(id kvs.StreamID) bool {
	_, err := t.policy(context.Background(), id)
	return err == nil
}

func (t *truth) time() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now.Time()
}

func (t *truth) pass(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now += kvs.Millis(d.Milliseconds())
}

func (t *truth) setPolicy(id kvs.StreamID, p archive.Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, deleted := t.policies[id]; deleted || t.numbers[id] == 0 {
		t.policies[id] = p
		t.numbers[id] = max(t.numbers[id], 1)
	}
}

func (t *truth) dropPolicy(id kvs.StreamID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.policies, id)
}

// nextOf makes another fragment of a stream that may be deleted. Now and then a number is
// left for later.
func (t *truth) nextOf(r *rand.Rand, id kvs.StreamID) archive.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := fragment{id, t.numbers[id]}
	late := fragment{id, f.n - 1}
	if _, used := t.fates[late]; !used && f.n > 1 {
		f = late
	} else {
		if r.IntN(5) == 0 {
			f.n++
		}
		t.numbers[id] = f.n + 1
	}
	t.now += kvs.Millis(r.IntN(3000))
	t.fates[f] = waiting
	t.servers[f] = t.now
	t.sizes[f] = r.IntN(4000)
	if r.IntN(16) == 0 {
		t.sizes[f] = 60_000 + r.IntN(20_000) // more than a chunk
	}
	rec := t.record(f)
	rec.Retention, rec.Tier = t.policies[id].Hours, t.policies[id].Tier
	return rec
}

// anyRange is a piece of the time so far.
func (t *truth) anyRange(r *rand.Rand) kvs.TimeRange {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.now - kvs.Millis(r.IntN(20_000))
	return kvs.TimeRange{Start: end - kvs.Millis(r.IntN(20_000)), End: end}
}

// goes notes that some fragments are being removed, and returns them.
func (t *truth) goes(which func(fragment) bool) map[fragment]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	goes := map[fragment]bool{}
	for f, is := range t.fates {
		if (is == kept || is == going) && which(f) {
			t.fates[f] = going
			goes[f] = true
		}
	}
	return goes
}

// held says whether a hold keeps a fragment. The caller holds mu, or nothing else runs.
func (t *truth) held(f fragment) bool {
	r := t.record(f)
	return slices.ContainsFunc(t.policies[f.stream].Holds, func(h archive.Hold) bool { return h.Covers(&r.Fragment) })
}

// condemn notes what an expiry pass has to remove, and what it may remove: that of streams
// with a limit of bytes.
func (t *truth) condemn() (goes, limited map[fragment]bool) {
	goes = t.goes(func(f fragment) bool {
		p, there := t.policies[f.stream]
		return !there || !t.held(f) && t.servers[f] < t.now-kvs.Millis(p.Hours)*3_600_000
	})
	limited = t.goes(func(f fragment) bool { return t.policies[f.stream].Bytes > 0 && !t.held(f) && !goes[f] })
	return goes, limited
}

// oldestGo takes what a limit of bytes left for kept, and sees that it took the oldest.
func (t *truth) oldestGo(limited, found map[fragment]bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	newest := map[kvs.StreamID]kvs.Millis{} // that went
	for f := range limited {
		if !found[f] {
			t.fates[f] = gone
			newest[f.stream] = max(newest[f.stream], t.servers[f])
		}
	}
	for f := range limited {
		if !found[f] {
			continue
		}
		t.fates[f] = kept
		if t.servers[f] < newest[f.stream] {
			return fmt.Errorf("stream %d kept fragment %d and gave up a newer one", f.stream, f.n)
		}
	}
	return nil
}

// record makes a fragment; everything in it follows from its name, size and server time.
func (t *truth) record(f fragment) archive.Record {
	n, size, server := f.n, t.sizes[f], t.servers[f]
	return archive.Record{
		Fragment: kvs.Fragment{
			Stream:   f.stream,
			Number:   kvs.FragmentNumber{N: n, Server: server, Random: uint32(n * 7919 & kvs.RandomMask)},
			Producer: server - kvs.Millis(n%7*1000), Duration: 500 + n%5*100, Size: int64(size),
		},
		Timecode: n * 2000,
		// A header that changes now and then; some are longer than a page.
		Header: bytes.Repeat(fmt.Appendf(nil, "header %d of %d.", n/16, f.stream), int(1+f.stream%2*300)),
		Body:   media(f, size),
	}
}

// media is bytes that nothing else has, in two pieces. Most of them come out of a stock: to
// draw them anew for each fragment of thirty days would take longer than to store them.
func media(f fragment, size int) net.Buffers {
	b := make([]byte, size)
	copy(b, noise[uint64(f.n*7919+int64(f.stream)*104_729)%(1<<19):])
	own := rand.NewChaCha8([32]byte{byte(f.stream), byte(f.n), byte(f.n >> 8), byte(f.n >> 16)})
	for at := 0; at < size; at += 4096 {
		own.Read(b[at:min(at+64, size)])
	}
	return net.Buffers{b[: size/3 : size/3], b[size/3:]}
}

var noise = func() []byte {
	b := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

// judge looks for whatever an archive must or must not hold. It returns the fragments
// that are there.
func (t *truth) judge(a *archive.Archive) (map[fragment]bool, error) {
	found := map[fragment]bool{}
	for _, id := range t.streams() {
		after := kvs.FragmentNumber{}
		for {
			s, ok, err := a.Next(context.Background(), id, after, 0)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			f := fragment{id, s.Number.N}
			err = t.look(a, f, s)
			if kvs.KindOf(err) != kvs.NotFound || t.fates[f] != going { // what was to go may go after it was listed
				found[f] = true
				if err != nil {
					return nil, err
				}
			}
			after = s.Number
		}
	}
	for f, is := range t.fates {
		if is == kept && !found[f] {
			return nil, fmt.Errorf("fragment %d of stream %d was acknowledged and is not there", f.n, f.stream)
		}
	}
	return found, nil
}

// streams returns every stream that ever was.
func (t *truth) streams() []kvs.StreamID {
	seen := map[kvs.StreamID]bool{}
	for f := range t.fates {
		seen[f.stream] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// look compares a fragment that was found with what was stored.
func (t *truth) look(a *archive.Archive, f fragment, s archive.Stored) error {
	is, known := t.fates[f]
	if !known || is == refused || is == gone {
		return fmt.Errorf("fragment %d of stream %d is there, but was %v", f.n, f.stream, is)
	}
	want := t.record(f)
	if s.Fragment != want.Fragment || s.Timecode != want.Timecode {
		return fmt.Errorf("fragment %d of stream %d: found %+v, want %+v", f.n, f.stream, s.Fragment, want.Fragment)
	}
	r, err := a.OpenRecord(context.Background(), s)
	if kvs.KindOf(err) == kvs.NotFound && !t.exists(f.stream) {
		return nil // the stream is deleted, and its keys with it
	}
	if err != nil {
		return fmt.Errorf("fragment %d of stream %d: %w", f.n, f.stream, err)
	}
	var header, body bytes.Buffer
	_, err = r.WriteHeader(&header, 0)
	if err == nil {
		_, err = r.WriteTo(&body)
	}
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("fragment %d of stream %d, %v: %w", f.n, f.stream, is, err)
	}
	if !bytes.Equal(header.Bytes(), want.Header) || !bytes.Equal(body.Bytes(), bytes.Join(want.Body, nil)) {
		return fmt.Errorf("fragment %d of stream %d: other bytes came back", f.n, f.stream)
	}
	return nil
}

// adopt takes what a start found for the truth: it made that durable.
func (t *truth) adopt(found map[fragment]bool) {
	t.change(waiting, kept, func(f fragment) bool { return found[f] })
	t.change(waiting, refused, func(fragment) bool { return true })
	t.change(going, gone, func(f fragment) bool { return !found[f] })
	t.change(going, kept, func(fragment) bool { return true })
}
