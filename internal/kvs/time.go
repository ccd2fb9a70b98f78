package kvs

import (
	"strconv"
	"time"
)

// Millis is a point in time in milliseconds since the Unix epoch. Producer and server
// timestamps are kept with this precision because the wire has no finer one.
type Millis int64

// MaxMillis is the last millisecond of the year 9999, the largest timestamp a
// fragment may carry (ack 4007 above it).
const MaxMillis Millis = 253402300799999

// MillisOf returns the millisecond t falls in.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time returns m as a UTC time.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// Add returns m moved by d, truncated to whole milliseconds.
func (m Millis) Add(d time.Duration) Millis { return m + Millis(d.Milliseconds()) }

// Sub returns the time from o to m.
func (m Millis) Sub(o Millis) time.Duration { return time.Duration(m-o) * time.Millisecond }

// Seconds writes m as epoch seconds with exactly three decimals, the form of the
// timestamp tags of GetMedia (wire-media section 5.3): "1511852109.126".
func (m Millis) Seconds() string { return string(m.AppendSeconds(nil)) }

// AppendSeconds appends the text of [Millis.Seconds] to b.
func (m Millis) AppendSeconds(b []byte) []byte {
	v := int64(m)
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	b = strconv.AppendInt(b, v/1000, 10)
	ms := v % 1000
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

// Float returns m as epoch seconds, the JSON form of timestamps.
func (m Millis) Float() float64 { return float64(m) / 1000 }

// TimeRange is a range of timestamps, both ends inclusive.
type TimeRange struct {
	Start, End Millis
}

// Clock says which of a fragment's two timestamps is meant.
type Clock uint8

// The two clocks of a fragment.
const (
	ServerClock   Clock = iota // when the service began to receive the fragment
	ProducerClock              // when the producer began to record it
)

// String names the clock: server or producer.
func (c Clock) String() string {
	if c == ProducerClock {
		return "producer"
	}
	return "server"
}
