package quota

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/spelling"
)

// Unit is what a limit counts.
type Unit uint8

// The units, with how their values are written.
const (
	Number     Unit = iota // 3
	Size                   // bytes: 50MB, 200MiB
	Frequency              // a second: 5/s, 30/m, 1/h, 1/d
	Throughput             // bytes a second: 12.5MB/s, 100Mbit/s
	Time                   // 45m, 1h30m, 200ms
	Flag                   // on, off
)

// String names the unit.
func (u Unit) String() string {
	return [...]string{"number", "bytes", "per second", "bytes per second", "duration", "on or off"}[u]
}

// Value is the value of a limit: a number, bytes, times a second, bytes a second, or
// seconds; 1 and 0 are on and off. In every other unit 0 means that there is no limit.
type Value float64

// None is how "no limit" is written.
const None = "none"

// Parse reads a value as an operator writes it: "5/s", "50MB", "45m", "on", "none"; sizes,
// bandwidths and frequencies in any case. The error says what would be right.
func (l *Limit) Parse(text string) (Value, error) {
	text = strings.TrimSpace(text)
	if l.Unit == Flag {
		switch text {
		case "on":
			return 1, nil
		case "off":
			return 0, nil
		}
		return 0, fmt.Errorf("%s is %q: write on or off", l.Name, text)
	}
	if text == None {
		if l.Most > 0 {
			return 0, fmt.Errorf("%s cannot be %s: at most %s can be served", l.Name, None, l.Format(l.Most))
		}
		return 0, nil
	}
	v, ok := l.Unit.parse(text)
	switch {
	case !ok || v < 0:
		return 0, fmt.Errorf("%s is %q: write %s", l.Name, text, l.Unit.example())
	case v == 0:
		return 0, fmt.Errorf("%s is %q, which would allow nothing: write %s for no limit", l.Name, text, None)
	case l.Most > 0 && v > l.Most:
		return 0, fmt.Errorf("%s is %q: at most %s can be served", l.Name, text, l.Format(l.Most))
	case v < l.Least:
		return 0, fmt.Errorf("%s is %q: write at least %s, with its unit", l.Name, text, l.Format(l.Least))
	case v < l.Unit.smallest() || v > l.Unit.largest():
		return 0, fmt.Errorf("%s is %q: write %s to %s, or %s", l.Name, text, l.Format(l.Unit.smallest()), l.Format(l.Unit.largest()), None)
	}
	return v, nil
}

// smallest is the least that a limit can be set to: less would be a mistake, or allow
// nothing that anybody lives to see. Units are as in [Value]; Flag has none.
func (u Unit) smallest() Value {
	return [...]Value{Number: 1, Size: 1, Frequency: 1.0 / 86400, Throughput: 1, Time: 0.001, Flag: 0}[u]
}

// largest is the most that a limit can be set to. Whoever wants more wants none.
func (u Unit) largest() Value {
	return [...]Value{Number: 1e9, Size: 1e14, Frequency: 1e6, Throughput: 1e12, Time: 87600 * 3600, Flag: 1}[u]
}

// example says how a value of the unit is written.
func (u Unit) example() string {
	return [...]string{"a whole number such as 5", "a size such as 50MB or 200MiB", "a frequency such as 5/s or 30/m",
		"a bandwidth such as 12.5MB/s or 100Mbit/s", "a duration such as 45m or 30s", "on or off"}[u] + ", or " + None
}

func (u Unit) parse(text string) (Value, bool) {
	switch u {
	case Size:
		v, ok := parseScaled(text, sizes)
		return v, ok && v == Value(math.Trunc(float64(v)))
	case Frequency:
		return parseScaled(text, frequencies)
	case Throughput:
		return parseScaled(text, throughputs)
	case Time:
		d, err := time.ParseDuration(text)
		return Value(d.Seconds()), err == nil
	}
	n, err := strconv.ParseUint(text, 10, 53)
	return Value(n), err == nil
}

// scale is a suffix and what one of it is worth. The first of a list that a number fits
// is how it is written; a longer suffix stands before one it ends with.
type scale struct {
	suffix string
	worth  float64
}

var (
	sizes = []scale{{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1}, {"", 1}}

	frequencies = []scale{{"/s", 1}, {"/m", 1.0 / 60}, {"/h", 1.0 / 3600}, {"/d", 1.0 / 86400}, {"", 1}}

	throughputs = []scale{{"GB/s", 1e9}, {"MB/s", 1e6}, {"KB/s", 1e3}, {"B/s", 1}, {"Gbit/s", 1e9 / 8}, {"Mbit/s", 1e6 / 8}, {"kbit/s", 1e3 / 8}}
)

func parseScaled(text string, scales []scale) (Value, bool) {
	for _, s := range scales {
		number, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(s.suffix)) // kB is KB
		if !ok {
			continue
		}
		number = strings.TrimSpace(number)
		v, err := strconv.ParseFloat(number, 64)
		return Value(v * s.worth), err == nil && strings.Trim(number, "0123456789.") == "" // 1e9, 0x10 and inf are typing errors
	}
	return 0, false
}

// formatScaled writes v with the first suffix that needs few digits.
func formatScaled(v Value, scales []scale) string {
	for _, s := range scales {
		n := strconv.FormatFloat(float64(v)/s.worth, 'f', -1, 64)
		if back, _ := parseScaled(n+s.suffix, scales); back == v && len(n) <= 6 && n[0] != '0' {
			return n + s.suffix
		}
	}
	plain := scales[len(scales)-1]
	for _, s := range scales {
		if s.worth == 1 {
			plain = s
			break
		}
	}
	return strconv.FormatFloat(float64(v), 'f', -1, 64) + plain.suffix
}

// Format writes a value so that [Limit.Parse] reads the same value again.
func (l *Limit) Format(v Value) string {
	switch {
	case l.Unit == Flag && v != 0:
		return "on"
	case l.Unit == Flag:
		return "off"
	case v == 0:
		return None
	case l.Unit == Size:
		return formatScaled(v, sizes)
	case l.Unit == Frequency:
		return formatScaled(v, frequencies)
	case l.Unit == Throughput:
		return formatScaled(v, throughputs)
	case l.Unit == Time:
		return spelling.Duration(v.duration())
	}
	return strconv.FormatFloat(float64(v), 'f', -1, 64)
}

// duration is a value of the unit Time.
func (v Value) duration() time.Duration { return time.Duration(math.Round(float64(v) * 1e9)) }
