package login

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Guessing gets slow, then impossible; after a while the address may try again. Others are
// not concerned.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, OIDC{})
		h.failures.now = time.Now
		guess := func(body, from string) (*http.Response, time.Duration) {
			began := time.Now()
			resp := h.ask(request("POST", "/login/key", body), func(r *http.Request) { r.RemoteAddr = from })
			return resp, time.Since(began)
		}
		wrong := strings.Replace(keyBody, goodSecret, "wrong-secret", 1)
		var all time.Duration
		for i := range maxFailures {
			resp, took := guess(wrong, "192.0.2.1:5000")
			all += took
			if resp.StatusCode != 403 || (took > 0) != (i >= freeFailures) || took > maxDelay {
				t.Errorf("guess %d: %d after %v", i, resp.StatusCode, took)
			}
		}
		if all < 30*time.Second {
			t.Errorf("%d guesses took %v", maxFailures, all)
		}
		if resp, took := guess(keyBody, "192.0.2.1:5001"); resp.StatusCode != 429 || took > 0 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("one too many: %d after %v", resp.StatusCode, took)
		}
		if resp, _ := guess(keyBody, "192.0.2.2:5000"); resp.StatusCode != 200 {
			t.Errorf("somebody else: %d", resp.StatusCode)
		}
		time.Sleep(forgetAfter)
		if resp, _ := guess(keyBody, "192.0.2.1:5000"); resp.StatusCode != 200 {
			t.Errorf("later: %d", resp.StatusCode)
		}
	})
}

// Who has one key may not try others without end by using it in between.
func TestSuccessForgivesOnlyItself(t *testing.T) {
	now := time.Unix(0, 0)
	f := failures{now: func() time.Time { return now }}
	at := netip.MustParseAddr("2001:db8::1")
	for range maxFailures {
		good, err := f.begin(at)
		if err != nil {
			t.Fatal(err)
		}
		good.succeeded()
		if _, err := f.begin(netip.MustParseAddr("2001:db8::ffff:2")); err != nil { // the same customer
			t.Fatal(err)
		}
	}
	if _, err := f.begin(at); err == nil {
		t.Error("guessing goes on")
	}
}

// However many addresses fail, so many are remembered at most; those of the last minute stay.
func TestFailuresAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	f := failures{now: func() time.Time { return now }}
	for i := range 3 * maxAddresses {
		now = now.Add(time.Millisecond)
		if _, err := f.begin(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.by) != maxAddresses {
		t.Errorf("%d addresses", len(f.by))
	}
	for _, odd := range []netip.Addr{{}, netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")} {
		if _, err := f.begin(odd); err != nil {
			t.Errorf("%v: %v", odd, err)
		}
	}
}

// Only so many requests wait; who goes away waits no longer.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failures{now: time.Now}
		ctx, cancel := context.WithCancel(t.Context())
		late := &attempt{f: f, n: maxFailures}
		for range maxDelayed {
			go late.wait(ctx)
		}
		synctest.Wait()
		began := time.Now()
		late.wait(ctx)
		if time.Since(began) > 0 || f.delayed != maxDelayed {
			t.Errorf("waited %v with %d others", time.Since(began), f.delayed)
		}
		cancel()
		synctest.Wait()
		if f.delayed != 0 {
			t.Errorf("%d still wait", f.delayed)
		}
	})
}

func TestDelays(t *testing.T) {
	var got []string
	for n := range 10 {
		got = append(got, fmt.Sprint((&attempt{n: n + 1}).delay()))
	}
	if s := strings.Join(got, " "); s != "0s 0s 0s 250ms 500ms 1s 2s 4s 4s 4s" {
		t.Error(s)
	}
}
