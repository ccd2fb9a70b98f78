package play

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
)

// query is the query of a URL, read without a map: players ask often, with few parameters.
type query string

func parseQuery(raw string) query { return query(raw) }

// get returns the first value of a name, "" if there is none or it is not well formed.
func (q query) get(name string) string {
	for rest := string(q); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		if key != name {
			continue
		}
		if !strings.ContainsAny(value, "%+") {
			return value
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return ""
		}
		return value
	}
	return ""
}

// number returns a value that is a whole number from 0 on; absent when there is none.
func (q query) number(name string, absent int64) (int64, error) {
	text := q.get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, kvs.Errorf(kvs.InvalidArgument, "%s must be a whole number from 0 on.", name)
	}
	return n, nil
}

// track returns the number of the track that is asked for: one of the session's, the only
// one when none is named.
func (v *visit) track() (uint64, error) {
	n, err := v.query.number("TrackNumber", 0)
	if err != nil {
		return 0, err
	}
	if n == 0 && len(v.ses.Tracks) == 1 {
		return v.ses.Tracks[0].Number, nil
	}
	for _, t := range v.ses.Tracks {
		if t.Number == uint64(n) {
			return t.Number, nil
		}
	}
	return 0, kvs.Errorf(kvs.NotFound, "The streaming session has no track %d.", n)
}
