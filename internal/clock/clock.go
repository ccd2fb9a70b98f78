// Package clock is the clock of a server under test: it starts at a chosen moment, runs
// at a chosen speed and can be moved.
//
// [Clock.Now] takes the place of time.Now where the server's own time is meant: server
// timestamps, retention, the life of tokens. Signatures, certificates and the time that
// a network may take stay on the real clock. All methods may be called from any
// goroutine.
package clock

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what a clock can show, and of its speed: one real second may be almost
// three hours.
const (
	maxSpeed = 10_000
	maxYear  = 9000
)

// Clock is a clock that was set. Make it with [New] or [Parse].
type Clock struct {
	real  func() time.Time
	first string // the text of Parse, "" = the real time

	mu    sync.Mutex
	start time.Time // what the clock showed
	at    time.Time // at this real time
	speed float64
}

// Parse makes a clock from START, START@SPEED or @SPEED: a moment such as
// 2030-01-01T00:00:00Z or 2030-01-01, or a distance from now such as +36h; speed 1 is
// that of the real clock, 0 stands still. real is the real clock, nil = time.Now.
func Parse(text string, real func() time.Time) (*Clock, error) {
	c := New(real)
	c.first = text
	return c, c.Set(text)
}

// New makes a clock that shows the real time until it is set. real is the real clock,
// nil = time.Now.
func New(real func() time.Time) *Clock {
	if real == nil {
		real = time.Now
	}
	c := &Clock{real: real}
	c.Restart()
	return c
}

// Restart makes the clock show again what it showed when it was made: that moment, or
// that distance from the real time, at that speed.
func (c *Clock) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.real()
	c.start, c.at, c.speed = now.Round(0), now, 1
	if c.first != "" {
		_ = c.set(c.first) // was good
	}
}

// Set moves the clock to what the text says, which is as for [Parse]; what it leaves
// out stays as it is. Distances count from what the clock shows now. After an error
// nothing has changed.
func (c *Clock) Set(text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set(text)
}

// set is Set for callers that hold c.mu.
func (c *Clock) set(text string) error {
	moment, rate, hasSpeed := strings.Cut(text, "@")
	now := c.real()
	start, speed := c.shows(now), c.speed
	var err error
	if hasSpeed {
		if speed, err = parseSpeed(rate); err != nil {
			return err
		}
	}
	if moment != "" || !hasSpeed {
		if start, err = parseMoment(moment, start); err != nil {
			return err
		}
	}
	c.start, c.at, c.speed = start, now, speed
	return nil
}

func parseSpeed(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || !(v >= 0 && v <= maxSpeed) {
		return 0, fmt.Errorf("clock speed %q: write a number from 0 to %d, 1 is real time", text, maxSpeed)
	}
	return v, nil
}

func parseMoment(text string, now time.Time) (time.Time, error) {
	var t time.Time
	var err error
	if strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") {
		var d time.Duration
		if d, err = time.ParseDuration(text); err == nil {
			t = now.Add(d)
		}
	} else if t, err = time.Parse(time.RFC3339Nano, text); err != nil {
		t, err = time.Parse(time.DateOnly, text)
	}
	if err != nil || t.Unix() < 0 || t.Year() >= maxYear {
		return t, fmt.Errorf("clock %q: write a moment such as 2030-01-01T00:00:00Z or 2030-01-01, or a distance such as +36h, between the years 1970 and %d", text, maxYear)
	}
	return t.UTC(), nil
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shows(c.real())
}

// Speed is how many of its seconds pass in a real one.
func (c *Clock) Speed() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.speed
}

// shows is what the clock shows at a real time. Callers hold c.mu.
func (c *Clock) shows(real time.Time) time.Time {
	passed := real.Sub(c.at)
	if c.speed == 1 {
		return c.start.Add(passed)
	}
	seconds := passed.Seconds() * c.speed
	whole := int64(seconds)
	t := time.Unix(c.start.Unix()+whole, int64(c.start.Nanosecond())+int64((seconds-float64(whole))*1e9)).UTC()
	if t.Year() > maxYear {
		return time.Date(maxYear, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t
}
