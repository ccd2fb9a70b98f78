package quota

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

const account kvs.AccountID = "111122223333"

// rated is Rates with a clock the test moves.
type rated struct {
	*Rates
	t   *testing.T
	now time.Time
}

func newRated(t *testing.T, limits map[string]Rate) *rated {
	r := &rated{t: t, now: time.Unix(1_735_442_939, 0)}
	r.Rates = NewRates(Limits{Rates: limits}, func() time.Time { return r.now })
	return r
}

// allowed calls until it is refused, at most 1,000 times, and returns how many calls
// were let through.
func (r *rated) allowed(operation string, a kvs.AccountID, resource string) int {
	r.t.Helper()
	for n := range 1000 {
		if err := r.Allow(operation, a, resource); err != nil {
			if kvs.KindOf(err) != kvs.TooManyRequests {
				r.t.Fatal(err)
			}
			return n
		}
	}
	return 1000
}

func TestRates(t *testing.T) {
	r := newRated(t, map[string]Rate{"Describe": {Account: 7, Resource: 3}, "List": {Account: 2}, "Put": {Resource: 5}})
	for _, step := range []struct {
		pass      time.Duration
		operation string
		account   kvs.AccountID
		resource  string
		want      int
	}{
		{0, "Describe", account, "a", 3},                 // the resource's burst
		{0, "Describe", account, "b", 3},                 // of the account's 7, one went to the refused call
		{0, "Describe", account, "c", 0},                 // the account's burst is spent
		{0, "Describe", "999988887777", "a", 3},          // another account has its own
		{0, "List", account, "", 2},                      // another operation has its own
		{0, "Put", account, "a", 5},                      // no account limit
		{0, "Put", account, "b", 5},                      // per resource
		{0, "Put", account, "", 1000},                    // a call on no resource
		{0, "Unlimited", account, "a", 1000},             // not in the table
		{500 * time.Millisecond, "List", account, "", 1}, // half a second, half the rate
		{time.Hour, "List", account, "", 2},              // never more than the burst
		{0, "Put", account, "a", 5},
		{200 * time.Millisecond, "Put", account, "a", 1},
	} {
		r.now = r.now.Add(step.pass)
		if got := r.allowed(step.operation, step.account, step.resource); got != step.want {
			t.Errorf("%s by %s on %q: %d calls allowed, want %d", step.operation, step.account, step.resource, got, step.want)
		}
	}
}

func TestARateBelowOneAllowsOneCallAtATime(t *testing.T) {
	r := newRated(t, map[string]Rate{"Rare": {Account: 0.1}})
	for range 3 {
		if got := r.allowed("Rare", account, ""); got != 1 {
			t.Fatalf("%d calls allowed, want 1", got)
		}
		r.now = r.now.Add(10 * time.Second)
	}
}

func TestRefusalsSayWhatIsExceeded(t *testing.T) {
	r := newRated(t, map[string]Rate{"GetDataEndpoint": {Account: 1, Resource: 1}})
	r.allowed("GetDataEndpoint", account, "cam")
	r.now = r.now.Add(time.Second)
	if err := r.Allow("GetDataEndpoint", account, "cam"); err != nil {
		t.Fatal(err)
	}
	err := r.Allow("GetDataEndpoint", account, "cam")
	if want := "Limit exceeded on number of requests for GetDataEndpoint API for account '111122223333'"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	r = newRated(t, map[string]Rate{"GetDataEndpoint": {Resource: 1}})
	r.allowed("GetDataEndpoint", account, "cam")
	err = r.Allow("GetDataEndpoint", account, "cam")
	if want := "Limit exceeded on number of requests for GetDataEndpoint API for resource 'cam'"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestFullBucketsAreForgotten(t *testing.T) {
	r := newRated(t, map[string]Rate{"Put": {Resource: 5}, "Rare": {Account: 0.01}})
	for _, name := range []string{"a", "b", "c", "d"} {
		_ = r.Allow("Put", account, name)
	}
	_ = r.Allow("Rare", account, "")
	r.now = r.now.Add(1500 * time.Millisecond)
	_ = r.Allow("Put", account, "e")
	if n := len(r.buckets); n != 2 { // "e", and Rare, which is full after 100 s only
		t.Errorf("%d buckets are kept, want 2", n)
	}
	if got := r.allowed("Rare", account, ""); got != 0 {
		t.Errorf("a bucket that was not full was forgotten: %d calls allowed", got)
	}
	r.now = r.now.Add(-time.Hour) // a clock that steps back must not refuse or panic
	if got := r.allowed("Put", account, "f"); got != 5 {
		t.Errorf("%d calls allowed after the clock stepped back, want 5", got)
	}
}

func TestSlots(t *testing.T) {
	s := NewSlots("GetMedia", 2)
	first, err1 := s.Take(1, "cam")
	_, err2 := s.Take(1, "cam")
	_, err3 := s.Take(1, "cam")
	if err1 != nil || err2 != nil || kvs.KindOf(err3) != kvs.TooManyConnections {
		t.Fatalf("got %v, %v, %v; want two slots and TooManyConnections", err1, err2, err3)
	}
	if want := "Connection limit of 2 exceeded for GetMedia API for resource 'cam'"; err3.Error() != want {
		t.Errorf("got  %s\nwant %s", err3, want)
	}
	if _, err := s.Take(2, "other"); err != nil {
		t.Errorf("another stream: %v", err)
	}
	first()
	again, err := s.Take(1, "cam")
	if err != nil {
		t.Fatalf("after a slot was given back: %v", err)
	}
	again()
}

func TestSlotsForgetStreamsAndMayBeUnlimited(t *testing.T) {
	s := NewSlots("GetMedia", 0)
	var release []func()
	for range 100 {
		f, err := s.Take(1, "cam")
		if err != nil {
			t.Fatal(err)
		}
		release = append(release, f)
	}
	for _, f := range release {
		f()
	}
	if len(s.open) != 0 {
		t.Errorf("%d streams are remembered without a connection", len(s.open))
	}
}
