package media

import (
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// FuzzParseStart: whatever is accepted is a time that a fragment may carry, and written
// as seconds and as ISO 8601 it is the same time.
func FuzzParseStart(f *testing.F) {
	for _, text := range []string{
		"0", "1700000000.123", "1700000000123", "1.7E+9", "100.5", "253402300799999", "-0", "NaN", "1e400", "0x1p3", "1_0",
		"2023-11-14T22:13:20.123Z", "2023-11-14T23:13:20+0100", "20231114T221320Z", "0000-01-01T00:00:00Z", "yesterday",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := parseStart(text)
		if !ok {
			return
		}
		if m < 0 || m > kvs.MaxMillis {
			t.Fatalf("%q is %d", text, m)
		}
		for _, form := range []string{m.Time().Format("2006-01-02T15:04:05.000Z07:00"), seconds(m)} {
			if again, ok := parseStart(form); again != m || !ok {
				t.Fatalf("%q is %d, but %q is %d, %v", text, m, form, again, ok)
			}
		}
	})
}

// seconds is m as a number a client may write: in milliseconds where seconds would be
// taken for them.
func seconds(m kvs.Millis) string {
	if m/1000 >= millisFrom {
		return strconv.FormatInt(int64(m), 10)
	}
	return m.Seconds()
}
