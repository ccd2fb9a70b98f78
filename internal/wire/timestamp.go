package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// timestamp is a time member: epoch seconds as any JSON number, or ISO-8601 text as
// older SDKs send. It is kept to the millisecond.
type timestamp struct{ p **kvs.Millis }

// timestampRule is the text of the one rule for times.
const timestampRule = "Member must be a time up to the year 9999, in seconds since 1970 or in the form 2006-01-02T15:04:05Z"

func (t timestamp) present() bool      { return *t.p != nil }
func (t timestamp) check() *CheckError { return nil }

func (t timestamp) decode(raw []byte) *CheckError {
	m, ok := kvs.Millis(0), false
	switch {
	case isNumber(raw):
		m, ok = parseSeconds(string(raw))
	case raw[0] == '"':
		m, ok = parseISO(raw)
	default:
		return broken(quoted(kindOf(raw)), timestampRule)
	}
	if !ok {
		return broken(quoted(strings.Trim(string(raw), `"`)), timestampRule)
	}
	*t.p = &m
	return nil
}

func (t timestamp) append(b []byte, _ bool) []byte { return appendDouble(b, (**t.p).Float()) }

// parseSeconds rounds to the nearest millisecond, because the double nearest to a
// millisecond may lie just below it.
func parseSeconds(s string) (kvs.Millis, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, false
	}
	return inRange(math.Round(f * 1000))
}

func inRange(ms float64) (kvs.Millis, bool) {
	if math.Abs(ms) > float64(kvs.MaxMillis) {
		return 0, false
	}
	return kvs.Millis(ms), true
}

// isoForms are the forms of ISO-8601 that SDKs write; a fraction of a second is
// accepted in all of them.
var isoForms = []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "20060102T150405Z"}

func parseISO(raw []byte) (kvs.Millis, bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return 0, false
	}
	for _, form := range isoForms {
		if t, err := time.Parse(form, s); err == nil {
			return inRange(float64(t.UnixMilli()))
		}
	}
	return 0, false
}

// appendDouble writes f as Java's Double.toString does, the form of the recorded
// answers: decimals from 0.001 to below 10,000,000, else one digit before the point
// and an exponent, and always a digit after the point ("1.735442939457E9").
func appendDouble(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs == 0 || abs >= 1e-3 && abs < 1e7 {
		return strconv.AppendFloat(b, f, 'f', decimals(f), 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	b = append(b, mantissa...)
	if !strings.Contains(mantissa, ".") {
		b = append(b, ".0"...)
	}
	n, _ := strconv.Atoi(exponent) // FormatFloat writes nothing else there
	return strconv.AppendInt(append(b, 'E'), int64(n), 10)
}

// decimals is the precision for [strconv.AppendFloat] that leaves at least one digit
// after the point.
func decimals(f float64) int {
	if f == math.Trunc(f) {
		return 1
	}
	return -1
}
