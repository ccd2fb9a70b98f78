package kvs

import (
	"testing"
	"time"
)

// TestSeconds: the timestamps of GetMedia have three decimals, always (wire-media
// section 5.3).
func TestSeconds(t *testing.T) {
	for m, want := range map[Millis]string{
		1511852109126: "1511852109.126",
		1511852109000: "1511852109.000",
		1511852109020: "1511852109.020",
		1511852109003: "1511852109.003",
		0:             "0.000",
		1:             "0.001",
		999:           "0.999",
		-1:            "-0.001",
		-1500:         "-1.500",
		MaxMillis:     "253402300799.999",
	} {
		if got := m.Seconds(); got != want {
			t.Errorf("%d: %s, want %s", m, got, want)
		}
		if got := string(m.AppendSeconds([]byte("at "))); got != "at "+want {
			t.Errorf("%d: %s behind what was there, want %s", m, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2017, 11, 28, 6, 55, 9, 126_999_999, time.UTC)
	m := MillisOf(at)
	if m != 1511852109126 {
		t.Errorf("%v is %d", at, m)
	}
	if got := m.Time(); got != at.Truncate(time.Millisecond) {
		t.Errorf("%d is %v", m, got)
	}
	if got := MaxMillis.Time().Add(time.Millisecond); got != time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("the last millisecond ends at %v", got)
	}
	if got := m.Add(1999 * time.Microsecond); got != m+1 {
		t.Errorf("1.999 ms later is %d", got-m)
	}
	if got := m.Sub(m.Add(time.Hour)); got != -time.Hour {
		t.Errorf("to an hour earlier it is %v", got)
	}
	if got := m.Float(); got != 1511852109.126 {
		t.Errorf("as a number %v", got)
	}
}
