package policy

import (
	"strconv"
	"strings"
	"time"
)

// parseNumber reads a decimal number: digits with sign, fraction and exponent as JSON
// has them. It allocates nothing for what is no number, as a request may say so.
func parseNumber(s string) (float64, bool) {
	rest := strings.TrimPrefix(s, "-")
	rest, ok := digits(rest)
	if after, dot := strings.CutPrefix(rest, "."); ok && dot {
		rest, ok = digits(after)
	}
	if ok && rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		rest = rest[1:]
		if rest != "" && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		rest, ok = digits(rest)
	}
	if !ok || rest != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// digits goes over at least one digit.
func digits(s string) (rest string, ok bool) {
	rest = strings.TrimLeft(s, "0123456789")
	return rest, len(rest) < len(s)
}

// moment is a time as policies compare it.
type moment struct {
	second int64 // since 1970
	nano   int
}

func (m moment) compare(other moment) int {
	switch {
	case m.second != other.second:
		return sign(m.second < other.second)
	case m.nano != other.nano:
		return sign(m.nano < other.nano)
	}
	return 0
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// parseMoment reads a date: the forms of ISO 8601 that the W3C lists (2026, 2026-05,
// 2026-05-17, 2026-05-17T08:30Z, with seconds and a fraction, with Z, +02:00 or +0200), or
// seconds since 1970. Four digits are a year.
func parseMoment(s string) (moment, bool) {
	rest, ok := digits(strings.TrimPrefix(s, "-"))
	isYear := len(s) == 4 && rest == "" && s[0] != '-'
	if ok && !isYear && (rest == "" || rest[0] == '.') {
		return parseEpoch(s)
	}
	c := cutter{rest: s}
	year, month, day := c.number(4), 1, 1
	var hour, minute, second, nano, offset int
	if c.goesOver("-") {
		month = c.number(2)
		if c.goesOver("-") {
			day = c.number(2)
			if c.goesOver("T") {
				hour = c.number(2)
				c.must(":")
				minute = c.number(2)
				if c.goesOver(":") {
					second = c.number(2)
					nano = c.fraction()
				}
				offset = c.zone()
			}
		}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC)
	// A date that does not exist, the 30th of February, comes out as another.
	same := t.Month() == time.Month(month) && t.Day() == day && hour < 24 && minute < 60 && second < 60
	if c.wrong || c.rest != "" || !same {
		return moment{}, false
	}
	return moment{t.Unix() - int64(offset), nano}, true
}

func parseEpoch(s string) (moment, bool) {
	whole, fraction, dot := strings.Cut(s, ".")
	c := cutter{rest: s[len(whole):]}
	nano := c.fraction()
	second, err := int64(0), error(nil)
	if len(whole) > 18 {
		return moment{}, false
	}
	second, err = strconv.ParseInt(whole, 10, 64)
	if err != nil || c.wrong || c.rest != "" || dot && fraction == "" {
		return moment{}, false
	}
	if strings.HasPrefix(whole, "-") && nano > 0 {
		second, nano = second-1, 1_000_000_000-nano
	}
	return moment{second, nano}, true
}

// cutter takes the fields of a date off a text and remembers whether one was wrong.
type cutter struct {
	rest  string
	wrong bool
}

func (c *cutter) goesOver(prefix string) bool {
	rest, ok := strings.CutPrefix(c.rest, prefix)
	c.rest = rest
	return ok
}

func (c *cutter) must(prefix string) { c.wrong = !c.goesOver(prefix) || c.wrong }

// number takes exactly n digits.
func (c *cutter) number(n int) (value int) {
	if len(c.rest) < n {
		c.wrong = true
		return 0
	}
	for _, d := range []byte(c.rest[:n]) {
		if d < '0' || d > '9' {
			c.wrong = true
			return 0
		}
		value = value*10 + int(d-'0')
	}
	c.rest = c.rest[n:]
	return value
}

// fraction takes a point and up to nine digits, and returns nanoseconds.
func (c *cutter) fraction() (nano int) {
	if !c.goesOver(".") {
		return 0
	}
	rest, ok := digits(c.rest)
	n := len(c.rest) - len(rest)
	if !ok || n > 9 {
		c.wrong = true
		return 0
	}
	nano = c.number(n)
	for range 9 - n {
		nano *= 10
	}
	return nano
}

// zone takes Z or an offset, and returns seconds east of Greenwich.
func (c *cutter) zone() (seconds int) {
	if c.goesOver("Z") {
		return 0
	}
	direction := 1
	if c.goesOver("-") {
		direction = -1
	} else {
		c.must("+")
	}
	hours := c.number(2)
	c.goesOver(":")
	minutes := c.number(2)
	c.wrong = c.wrong || hours > 23 || minutes > 59
	return direction * (hours*60 + minutes) * 60
}
