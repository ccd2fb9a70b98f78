package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
)

const (
	crashes   = 20
	producers = 20
)

// crashProducer sends fragments to a stream of its own, over and over, and remembers what
// was acknowledged as PERSISTED. Its fields are for one goroutine, and for everybody once
// that ended.
type crashProducer struct {
	stream  string
	next    int64               // timecode of the next cluster, in seconds
	sent    map[int64][32]byte  // by timecode in milliseconds: the cluster's hash
	durable map[string][32]byte // by fragment number: the hash of the cluster sent
	random  *rand.Rand
}

// persist sends fragments until the server or the context ends. It never waits for an
// acknowledgement before it sends on.
func (p *crashProducer) persist(ctx context.Context, c *client.Client, count *atomic.Int64) {
	r, w := io.Pipe()
	up, err := c.PutMedia(ctx, client.PutMediaRequest{StreamName: p.stream, TimecodeType: client.Relative, ProducerStart: began, Body: r})
	if err != nil {
		return // the server is not there yet, or is gone again
	}
	defer up.Close()
	var mu sync.Mutex // guards sent while both directions are busy
	go func() {
		_, err := w.Write(head())
		for err == nil {
			mu.Lock()
			b := cluster(p.next*1000, 5, 1+p.random.IntN(8000), p.random.Uint64())
			p.sent[p.next*1000] = sha256.Sum256(b)
			p.next++
			mu.Unlock()
			_, err = w.Write(b)
		}
	}()
	defer mu.Lock() // the writer has ended, or never touches anything again
	defer w.Close()
	for {
		a, err := up.Next()
		if err != nil {
			return
		}
		if a.Type == client.Persisted {
			mu.Lock()
			p.durable[a.Number] = p.sent[a.Timecode]
			mu.Unlock()
			count.Add(1)
		}
	}
}

// The server is killed 20 times in the middle of the work of 20 producers. Whatever was
// acknowledged as PERSISTED is listed afterwards, and comes out as it went in.
func TestKilledUnderProducers(t *testing.T) {
	s := serve(t)
	all := make([]*crashProducer, producers)
	for i := range all {
		all[i] = &crashProducer{stream: fmt.Sprintf("camera-%02d", i), sent: map[int64][32]byte{}, durable: map[string][32]byte{},
			random: rand.New(rand.NewPCG(2, uint64(i)))}
		s.create(t, all[i].stream)
	}
	random := rand.New(rand.NewPCG(3, 0))
	for range crashes {
		lives := 1 + random.Int64N(400) // fragments that become durable before the crash
		var count atomic.Int64
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		c := s.client(t)
		for _, p := range all {
			wg.Go(func() { p.persist(ctx, c, &count) })
		}
		eventually(t, "fragments become durable", func() error {
			if n := count.Load(); n < lives {
				return fmt.Errorf("%d fragments are durable, want %d", n, lives)
			}
			return nil
		})
		s.kill()
		cancel()
		wg.Wait()
		s.check(t) // what a crash leaves is nothing wrong
		s = s.again(t)
	}
	s.check(t, "--deep")
	verified := 0
	for _, p := range all {
		verified += p.verify(t, s)
	}
	t.Logf("%d fragments acknowledged as PERSISTED survived %d crashes", verified, crashes)
}

// verify compares what is stored with what was acknowledged.
func (p *crashProducer) verify(t *testing.T, s *server) int {
	t.Helper()
	listed := map[string]bool{}
	in := object{"StreamName": p.stream, "MaxResults": 1000, "FragmentSelector": object{"FragmentSelectorType": "SERVER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(time.Unix(0, 0)), "EndTimestamp": date(time.Now().Add(time.Hour))}}}
	for in != nil {
		var page struct {
			NextToken string
			Fragments []fragmentInfo
		}
		s.caller(t).must(t, "ListFragments", in, &page)
		for _, f := range page.Fragments {
			listed[f.FragmentNumber] = true
		}
		in = nil
		if page.NextToken != "" {
			in = object{"StreamName": p.stream, "MaxResults": 1000, "NextToken": page.NextToken}
		}
	}
	for n := range p.durable {
		if !listed[n] {
			t.Errorf("%s: fragment %s was PERSISTED and is not listed", p.stream, n)
		}
	}
	// Some were stored without anybody hearing of it. They must be whole as well.
	numbers := slices.Sorted(maps.Keys(listed))
	for part := range slices.Chunk(numbers, 1000) {
		got := newChunks(s.caller(t).stream(t, "GetMediaForFragmentList", object{"StreamName": p.stream, "Fragments": part}))
		for _, n := range part {
			k, err := got.next()
			if err != nil {
				t.Fatalf("%s: fragment %s: %v", p.stream, n, err)
			}
			hash := sha256.Sum256(k.cluster)
			if before, acknowledged := p.durable[n]; k.number != n || hash != p.sent[int64(k.timecode)] || acknowledged && hash != before {
				t.Fatalf("%s: fragment %s (asked for %s) is not what was sent", p.stream, k.number, n)
			}
		}
	}
	return len(p.durable)
}

// check fails unless the archive of the server obeys its rules.
func (s *server) check(t *testing.T, flags ...string) {
	t.Helper()
	run(t, environment(), program(t), append([]string{"check", "--data", s.data}, flags...)...)
}
