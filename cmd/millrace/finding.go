package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/internal/rejection"
)

// column is where the text of an entry begins, and width where its lines end.
const (
	column = 9
	width  = 96
)

// entryText is an entry for people; stream is what its limit would be set for.
func entryText(e rejection.Entry, stream string) string {
	r := e.Last
	var b strings.Builder
	if r.Code > 0 {
		fmt.Fprintf(&b, "%d %s, %s", r.Code, r.Error, r.Case)
	} else {
		fmt.Fprintf(&b, "warning: %s", r.Case)
	}
	if e.Count > 1 {
		fmt.Fprintf(&b, ": %d times", e.Count)
	}
	b.WriteByte('\n')
	line := func(label, text string) {
		if text != "" {
			b.WriteString(wrap(fmt.Sprintf("  %-*s", column-2, label), text))
		}
	}
	line("why", r.Why)
	line("where", place(r))
	line("when", session(r))
	if e.Count > 1 {
		first := place(e.First)
		if !e.First.Time.IsZero() {
			first = strings.TrimSuffix(stamp(e.First.Time)+", "+first, ", ")
		}
		line("first", first)
	}
	line("fix", r.Fix)
	if r.Limit != "" {
		line("limit", fmt.Sprintf("millrace limit set %s VALUE --stream %s", r.Limit, cmp.Or(stream, "STREAM")))
	}
	return b.String()
}

// place says where something was found.
func place(r rejection.Refusal) string {
	var all []string
	add := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(r.Number != "", "fragment %s", r.Number)
	add(r.Timecode >= 0, "timecode %d", r.Timecode)
	add(!r.Producer.IsZero(), "producer time %s", stamp(r.Producer))
	add(r.Began >= 0, "cluster at byte %d", r.Began)
	add(r.Offset >= 0 && r.Offset != r.Began, "found at byte %d", r.Offset)
	add(r.Track > 0, "track %d", r.Track)
	add(r.Frame > 0, "block %d", r.Frame)
	return strings.Join(all, ", ")
}

// session says when it was and whose call it was.
func session(r rejection.Refusal) string {
	if r.Time.IsZero() { // of lint
		return ""
	}
	text := stamp(r.Time)
	if r.Call != "" {
		text += ", " + r.Call
	}
	if r.Request != "" {
		text += ", request " + r.Request
	}
	if r.Client != "" {
		text += " from " + r.Client
	}
	if !r.Told {
		text += "; the producer was not told"
	}
	return text
}

// wrap breaks a text into lines behind a label.
func wrap(label, text string) string {
	var b strings.Builder
	line := label
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > width && len(line) > len(label) {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = strings.Repeat(" ", len(label))
		}
		line += word + " "
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}

// writeObjects writes one JSON object a line.
func writeObjects[T any](w io.Writer, all []T) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // the texts are for people
	for i := range all {
		if err := e.Encode(&all[i]); err != nil {
			return err
		}
	}
	return nil
}
