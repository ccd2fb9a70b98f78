package quota

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace/millrace/internal/kvs"
)

const account kvs.AccountID = "111122223333"

// rated is a book with a clock the test moves.
type rated struct {
	*Book
	t   testing.TB
	now time.Time
}

func newRated(t testing.TB, p Profile, settings ...string) *rated {
	r := &rated{t: t, now: time.Unix(1_735_442_939, 0)}
	o := BookOptions{Profile: p, Settings: map[string]string{}, Now: func() time.Time { return r.now }}
	for i := 0; i < len(settings); i += 2 {
		o.Settings[settings[i]] = settings[i+1]
	}
	r.Book = newBook(t, o)
	return r
}

// allowed calls until it is refused, at most 1,000 times, and returns how many calls
// were let through.
func (r *rated) allowed(operation string, a kvs.AccountID, id kvs.StreamID) int {
	r.t.Helper()
	op := OperationOf(operation)
	for n := range 1000 {
		if err := r.Allow(op, a, id, fmt.Sprint("cam", id)); err != nil {
			if kvs.KindOf(err) != kvs.TooManyRequests {
				r.t.Fatal(err)
			}
			return n
		}
	}
	return 1000
}

func TestRates(t *testing.T) {
	r := newRated(t, Open, "DescribeStream.account-rate", "7/s", "DescribeStream.stream-rate", "3/s", "ListStreams.account-rate", "2/s", "PutMedia.stream-rate", "5/s")
	for _, step := range []struct {
		pass      time.Duration
		operation string
		account   kvs.AccountID
		stream    kvs.StreamID
		want      int
	}{
		{0, "DescribeStream", account, 1, 3},                      // the stream's burst
		{0, "DescribeStream", account, 1, 0},                      // what is refused costs the account nothing
		{0, "DescribeStream", account, 2, 3},                      //
		{0, "DescribeStream", account, 3, 1},                      // the rest of the account's burst
		{0, "DescribeStream", account, 3, 0},                      // it is spent
		{0, "DescribeStream", "999988887777", 4, 3},               // another account has its own
		{0, "ListStreams", account, 0, 2},                         // another operation has its own
		{0, "PutMedia", account, 1, 5},                            // no account limit
		{0, "PutMedia", account, 2, 5},                            // per stream
		{0, "PutMedia", account, 0, 1000},                         // a call on no stream
		{0, "UpdateStream", account, 1, 1000},                     // without a limit
		{0, "Unknown", account, 1, 1000},                          // not in the table
		{500 * time.Millisecond, "ListStreams", account, 0, 1},    // half a second, half the rate
		{time.Hour, "ListStreams", account, 0, 2},                 // never more than the burst
		{0, "PutMedia", account, 1, 5},                            //
		{200 * time.Millisecond, "PutMedia", account, 1, 1},       //
		{199 * time.Millisecond, "PutMedia", account, 1, 0},       //
		{1 * time.Millisecond, "PutMedia", account, 1, 1},         //
		{-time.Hour, "PutMedia", account, 1, 5},                   // a clock that stepped back locks nobody out
		{200 * time.Millisecond, "PutMedia", account, 1, 1},       // and limits as before
		{-100 * time.Millisecond, "PutMedia", account, 1, 0},      // a small step back is waited for
		{300 * time.Millisecond, "PutMedia", account, 1, 1},       //
		{1000 * time.Hour, "DescribeStream", account, 1, 3},       //
		{10 * time.Second, "DescribeStream", account, 1 << 40, 3}, //
	} {
		r.now = r.now.Add(step.pass)
		if got := r.allowed(step.operation, step.account, step.stream); got != step.want {
			t.Errorf("%s by %s on %d: %d calls allowed, want %d", step.operation, step.account, step.stream, got, step.want)
		}
	}
}

// One stream that is called without end takes nothing from the others of its account,
// and an account that is spent nothing from its streams.
func TestRefusedCallsCostNothing(t *testing.T) {
	r := newRated(t, Open, "DescribeStream.account-rate", "50/s", "DescribeStream.stream-rate", "5/s")
	op := OperationOf("DescribeStream")
	for range 1000 {
		_ = r.Allow(op, account, 1, "noisy")
	}
	for id := range kvs.StreamID(9) {
		if got := r.allowed("DescribeStream", account, id+2); got != 5 {
			t.Errorf("stream %d: %d calls allowed beside a noisy one, want 5", id+2, got)
		}
	}
	for range 1000 {
		if r.Allow(op, account, 11, "quiet") == nil {
			t.Fatal("the account is not spent")
		}
	}
	if err := r.Set(t.Context(), Target{Account: account}, "DescribeStream.account-rate", None); err != nil {
		t.Fatal(err)
	}
	if got := r.allowed("DescribeStream", account, 11); got != 5 {
		t.Errorf("%d calls allowed on a stream that was refused for its account, want 5", got)
	}
}

func TestARateBelowOneAllowsOneCallAtATime(t *testing.T) {
	r := newRated(t, Open, "ListStreams.account-rate", "6/m")
	for range 3 {
		if got := r.allowed("ListStreams", account, 0); got != 1 {
			t.Fatalf("%d calls allowed, want 1", got)
		}
		r.now = r.now.Add(10*time.Second - 1)
		if got := r.allowed("ListStreams", account, 0); got != 0 {
			t.Fatalf("%d calls allowed too early", got)
		}
		r.now = r.now.Add(1)
	}
}

func TestRatesThatChange(t *testing.T) {
	r := newRated(t, Open, "PutMedia.stream-rate", "1/h")
	r.allowed("PutMedia", account, 1)
	for _, c := range []struct {
		stream kvs.StreamID // what the limit is set for, 0 = the account
		value  string
		want   int
	}{
		{1, "4/s", 4},     // raised: nobody waits for the hour to end
		{1, "none", 1000}, //
		{0, "2/s", 1000},  // the stream's own goes before
		{1, "3/s", 0},     // the bucket was left empty
	} {
		if err := r.Set(t.Context(), Target{account, c.stream}, "PutMedia.stream-rate", c.value); err != nil {
			t.Fatal(err)
		}
		if got := r.allowed("PutMedia", account, 1); got != c.want {
			t.Errorf("%s for %d: %d calls allowed, want %d", c.value, c.stream, got, c.want)
		}
	}
	if got := r.allowed("PutMedia", account, 2); got != 2 {
		t.Errorf("another stream of the account: %d calls allowed, want 2", got)
	}
}

func TestRefusalsSayWhatIsExceeded(t *testing.T) {
	r := newRated(t, AWS)
	op := OperationOf("GetDataEndpoint")
	for id := range kvs.StreamID(300) {
		if err := r.Allow(op, account, id+1, "cam"); err != nil {
			t.Fatal(err)
		}
	}
	err := r.Allow(op, account, 1, "cam")
	if want := "Limit exceeded on number of requests for GetDataEndpoint API for account '111122223333'"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	r = newRated(t, AWS)
	r.allowed("GetDataEndpoint", account, 1)
	err = r.Allow(op, account, 1, "cam")
	if want := "Limit exceeded on number of requests for GetDataEndpoint API for resource 'cam'"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestFullBucketsAreForgotten(t *testing.T) {
	r := newRated(t, Open, "PutMedia.stream-rate", "5/s", "GetMedia.stream-rate", "1/m")
	for id := range kvs.StreamID(1000) {
		r.allowed("PutMedia", account, id+1)
	}
	if r.streams.count != 1000 {
		t.Fatalf("%d streams are remembered, want 1000", r.streams.count)
	}
	r.allowed("GetMedia", account, 1)
	r.now = r.now.Add(11 * time.Second)
	r.allowed("PutMedia", account, 2000)
	if r.streams.count != 2 { // the new one, and the one with the slow rate
		t.Errorf("%d streams are remembered, want 2", r.streams.count)
	}
	if got := r.allowed("GetMedia", account, 1); got != 0 {
		t.Errorf("a bucket that was not full was forgotten: %d calls allowed", got)
	}
}

func TestManyAtOnceGetNoMoreThanThereIs(t *testing.T) {
	r := newRated(t, AWS)
	put, list := OperationOf("PutMedia"), OperationOf("ListStreams")
	var wg sync.WaitGroup
	var streams [100]atomic.Int32
	var lists atomic.Int32
	for range 8 {
		wg.Go(func() {
			for i := range 4000 {
				if r.Allow(put, account, kvs.StreamID(i%100+1), "cam") == nil {
					streams[i%100].Add(1)
				}
				if r.Allow(list, account, 0, "") == nil {
					lists.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for i := range streams {
		if n := streams[i].Load(); n != 5 {
			t.Errorf("stream %d: %d calls allowed, want 5", i, n)
		}
	}
	if n := lists.Load(); n != 50 {
		t.Errorf("account: %d calls allowed, want 50", n)
	}
}

// BenchmarkFrontLimit is the limit check of one call, account and stream, beside one
// Allow of x/time/rate: both in parallel, measured in turns, so that what disturbs one
// disturbs the other.
func BenchmarkFrontLimit(b *testing.B) {
	for _, c := range []struct {
		name    string
		streams int
		set     bool
	}{{"one-stream", 1, false}, {"1000-streams", 1000, false}, {"with-overrides", 1000, true}} {
		b.Run(c.name, func(b *testing.B) {
			// The largest rate there is, by a clock a thousand times as fast: nobody is refused.
			begun := time.Now()
			fast := func() time.Time { return begun.Add(1000 * time.Since(begun)) }
			book := newBook(b, BookOptions{Profile: AWS, Now: fast, Settings: map[string]string{"DescribeStream.account-rate": "1000000/s", "DescribeStream.stream-rate": "1000000/s"}})
			for id := range kvs.StreamID(100) {
				if c.set {
					_ = book.Set(b.Context(), Target{account, id * 10}, "PutMedia.sessions", "2")
				}
			}
			op, limiter := OperationOf("DescribeStream"), rate.NewLimiter(1e9, 1e9)
			var ours, theirs time.Duration
			b.ReportAllocs()
			for left := b.N; left > 0; left -= 100_000 {
				n := min(left, 100_000)
				theirs += parallel(n, func(int) bool { return limiter.Allow() })
				ours += parallel(n, func(i int) bool { return book.Allow(op, account, kvs.StreamID(i%c.streams+1), "cam") == nil })
			}
			b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "check-ns")
			b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "rate.Allow-ns")
			b.ReportMetric(float64(ours)/float64(theirs), "x-of-rate.Allow")
		})
	}
}

// parallel calls f n times from as many goroutines as there are processors.
func parallel(n int, f func(i int) bool) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	each := n/runtime.GOMAXPROCS(0) + 1
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range each {
				if !f(i) {
					panic("refused")
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}
