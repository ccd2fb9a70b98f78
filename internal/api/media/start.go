package media

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// millisFrom is the number above which a timestamp counts milliseconds: as seconds it
// would lie beyond the year 5138 (wire-media section 3.1).
const millisFrom = 1e11

// parseStart reads a producer start timestamp as clients write it: epoch seconds with
// or without decimals, epoch milliseconds, or ISO 8601.
//
// The C producer writes milliseconds after the point without leading zeros ("100.5"
// for 5 ms), which cannot be told from half a second; the text is taken at its value.
// Hexadecimal numbers, which strconv reads, are no times.
func parseStart(s string) (kvs.Millis, bool) {
	if len(s) > 64 {
		return 0, false
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "xX") {
		if math.Abs(v) < millisFrom {
			v *= 1000
		}
		if !(v >= 0 && v <= float64(kvs.MaxMillis)) {
			return 0, false
		}
		return kvs.Millis(math.Round(v)), true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "20060102T150405Z"} {
		if t, err := time.Parse(layout, s); err == nil {
			m := kvs.MillisOf(t)
			return m, m >= 0 && m <= kvs.MaxMillis
		}
	}
	return 0, false
}
