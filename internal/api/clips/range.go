package clips

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// stretch is a part of a file, or all of it.
type stretch struct {
	from, size int64
	partial    bool
}

func (s stretch) contentRange(whole int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.from, s.from+s.size-1, whole)
}

var errNoBytes = errors.New("the range has no byte of the file")

// partOf reads which bytes are asked for (RFC 9110, section 14). Several ranges, and what
// is none, count as the whole file, as the standard allows; so does a range of another
// version of the file (section 13.1.5).
func partOf(h http.Header, size int64, tag string) (stretch, error) {
	whole := stretch{size: size}
	text, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	first, last, dash := strings.Cut(text, "-")
	if held := h.Get("If-Range"); !ok || !dash || held != "" && held != tag {
		return whole, nil
	}
	from, err1 := strconv.ParseUint(first, 10, 63)
	to, err2 := strconv.ParseUint(last, 10, 63)
	switch {
	case first == "" && err2 == nil: // the last so many bytes
		n := min(int64(to), size)
		if n == 0 {
			return whole, errNoBytes
		}
		return stretch{size - n, n, true}, nil
	case err1 != nil || last != "" && (err2 != nil || to < from):
		return whole, nil
	case int64(from) >= size:
		return whole, errNoBytes
	case last == "" || int64(to) >= size:
		to = uint64(size - 1)
	}
	return stretch{int64(from), int64(to) - int64(from) + 1, true}, nil
}
