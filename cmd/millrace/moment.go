package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// moment is a time on the command line: RFC 3339 ("2026-01-02T15:04:05Z") or epoch
// seconds ("1767366245.5").
type moment struct {
	at  kvs.Millis
	set bool
}

// UnmarshalText reads the flag's value.
func (m *moment) UnmarshalText(text []byte) error {
	at, err := parseMoment(string(text))
	*m = moment{at: at, set: err == nil}
	return err
}

// or is the time, or another one when none was given.
func (m moment) or(other kvs.Millis) kvs.Millis {
	if m.set {
		return m.at
	}
	return other
}

func parseMoment(text string) (kvs.Millis, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return checkMoment(text, float64(kvs.MillisOf(t)))
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) {
		return 0, fmt.Errorf("%q is no time: want RFC 3339 (2026-01-02T15:04:05Z) or seconds since 1970", text)
	}
	return checkMoment(text, math.Round(seconds*1000))
}

func checkMoment(text string, millis float64) (kvs.Millis, error) {
	switch {
	case millis < 0 || millis > float64(kvs.MaxMillis):
		return 0, fmt.Errorf("%q is no time from 1970 to 9999; seconds are wanted, not milliseconds", text)
	}
	return kvs.Millis(millis), nil
}

// clockText writes a time for people, in UTC with milliseconds.
func clockText(m kvs.Millis) string { return m.Time().Format("2006-01-02T15:04:05.000Z07:00") }
