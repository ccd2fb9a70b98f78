package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes, written plainly or with a unit in any case: 268435456,
// 256MiB, 1GB, 500kB.
type Size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := strings.ToLower(strings.TrimSpace(string(text))), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, strings.ToLower(u.suffix)); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("size %q: write a number of bytes, or one with KiB, MiB, GiB, KB, MB or GB", text)
	}
	*s = Size(n * unit)
	return nil
}

// MarshalText writes the size with the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) {
	for i := 3; i >= 0; i-- {
		if u := units[i]; s > 0 && int64(s)%u.bytes == 0 {
			return []byte(strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix), nil
		}
	}
	return []byte(strconv.FormatInt(int64(s), 10)), nil
}

// Room is a part of a disk: a [Size], or a percentage such as 5%. 0 is none.
type Room string

// leastRoom is the least size: 5 for 5% would keep nothing free.
const leastRoom = 1_000_000

// UnmarshalText reads a size or a percentage.
func (r *Room) UnmarshalText(text []byte) error {
	_, _, err := Room(text).parse()
	if err == nil {
		*r = Room(strings.TrimSpace(string(text)))
	}
	return err
}

// MarshalText writes it as it was given.
func (r Room) MarshalText() ([]byte, error) { return []byte(r), nil }

// Bytes returns the size, 0 for a percentage.
func (r Room) Bytes() int64 {
	s, _, _ := r.parse()
	return int64(s)
}

// Percent returns the percentage, 0 for a size.
func (r Room) Percent() float64 {
	_, p, _ := r.parse()
	return p
}

func (r Room) parse() (s Size, percent float64, err error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(string(r)), "%")
	if !isPercent {
		if err := s.UnmarshalText([]byte(r)); err != nil || s == 0 || s >= leastRoom {
			return s, 0, err
		}
		return 0, 0, fmt.Errorf("%q: write at least 1MB, with its unit, such as 20GB, or a percentage such as 5%%", string(r))
	}
	percent, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(percent >= 0 && percent <= 90) {
		return 0, 0, fmt.Errorf("%q: write a percentage from 0%% to 90%%, or a size such as 20GB", string(r))
	}
	return 0, percent, nil
}
