package live

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a Store with a budget and a clock the test moves.
type room struct {
	*Store
	t      testing.TB
	budget *quota.Budget

	mu     sync.Mutex
	now    time.Time
	number map[kvs.StreamID]int64
}

func newRoom(t testing.TB, budget int64, o Options) *room {
	r := &room{t: t, budget: quota.NewBudget(budget, budget/4), now: time.Unix(1_735_442_939, 0), number: map[kvs.StreamID]int64{}}
	o.Budget, o.Now = r.budget, r.time
	if o.HostBuffer == nil {
		o.HostBuffer = host(64*PageSize, 5*time.Minute)
	}
	r.Store = New(o)
	return r
}

func (r *room) time() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *room) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// next gives the numbers of a stream.
func (r *room) next(id kvs.StreamID) func() (kvs.FragmentNumber, error) {
	return func() (kvs.FragmentNumber, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.number[id]++
		return kvs.FragmentNumber{N: r.number[id], Server: kvs.MillisOf(r.now), Random: 7}, nil
	}
}

var header = &Header{Bytes: []byte("header")}

func (r *room) begin(st *Stream, frames bool) *Fragment {
	r.t.Helper()
	f, err := st.Begin(r.next(st.id), 1000, header, frames)
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// whole adds a complete fragment of size bytes.
func (r *room) whole(st *Stream, size int, host bool) *Fragment {
	r.t.Helper()
	f := r.begin(st, false)
	r.fill(f, size)
	r.complete(f, host)
	return f
}

func (r *room) fill(f *Fragment, size int) {
	r.t.Helper()
	if err := f.Append(r.t.Context(), content(f.info.Number.N, size)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) complete(f *Fragment, host bool) net.Buffers {
	r.t.Helper()
	info := f.Info()
	info.Size = f.Size()
	body, ok := f.Complete(info, host)
	if !ok {
		r.t.Fatal("the fragment could not be completed")
	}
	return body
}

// archived adds a fragment that may be evicted.
func (r *room) archived(st *Stream, size int) *Fragment {
	r.t.Helper()
	f := r.whole(st, size, false)
	f.Archived()
	return f
}

// content is size bytes that differ from fragment to fragment and from page to page.
func content(n int64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n*31) + byte(i) + byte(i>>8)
	}
	return b
}

// read returns all published bytes, in pieces of an awkward size.
func read(f *Fragment) ([]byte, error) {
	var all []byte
	p := make([]byte, 1000)
	for {
		n, published, err := f.ReadAt(p, int64(len(all)))
		if err != nil || n == 0 {
			return all, err
		}
		all = append(all, p[:n]...)
		if int64(len(all)) > published {
			return all, fmt.Errorf("got %d bytes of %d published", len(all), published)
		}
	}
}

func (r *room) wantBytes(f *Fragment, size int) {
	r.t.Helper()
	got, err := read(f)
	if err != nil || !bytes.Equal(got, content(f.Info().Number.N, size)) {
		r.t.Fatalf("fragment %d: read %d bytes, %v; want its %d", f.Info().Number.N, len(got), err, size)
	}
}

func (r *room) wantEvicted(f *Fragment) {
	r.t.Helper()
	if _, _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrEvicted) {
		r.t.Fatalf("fragment %d can be read, or fails with another error: %v", f.Info().Number.N, err)
	}
}

// wantLive compares the counters of a stream's fragments.
func (r *room) wantLive(st *Stream, want ...int64) {
	r.t.Helper()
	got := []int64{}
	for _, f := range st.All() {
		got = append(got, f.Info().Number.N)
	}
	if fmt.Sprint(got) != fmt.Sprint(append([]int64{}, want...)) {
		r.t.Fatalf("stream %d holds %v, want %v", st.id, got, want)
	}
}

// wantPages compares the memory in use.
func (r *room) wantPages(want int64) {
	r.t.Helper()
	if used, _, _, _ := r.budget.Use(); used != want*PageSize {
		r.t.Fatalf("%d bytes are taken, want %d pages", used, want)
	}
}

// woken reports whether a reader has been woken since it was last asked.
func woken(r *Reader) bool {
	select {
	case <-r.Wake():
		return true
	default:
		return false
	}
}

// host bounds the buffers of streams without retention.
func host(bytes int64, age time.Duration) func() (int64, time.Duration) {
	return func() (int64, time.Duration) { return bytes, age }
}
