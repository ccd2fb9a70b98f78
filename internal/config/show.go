package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/millrace/millrace/internal/spelling"
)

// masked stands for a secret that is set.
const masked = "********"

// shown is one line of the effective settings.
type shown struct {
	name  string
	value any // a text or a list of texts
	from  string
	means string // what the value stands for, "" = itself
}

// origin is the comment behind a line.
func (s shown) origin() string {
	if s.means == "" {
		return s.from
	}
	return s.from + "; here " + s.means
}

// lines are the effective settings in the order of the file, secrets masked.
func (l *Loaded) lines() (list []shown) {
	for _, s := range l.settings() {
		if m, ok := s.value.Interface().(map[string]string); ok {
			for _, key := range slices.Sorted(maps.Keys(m)) {
				list = append(list, shown{name: s.name + "." + key, value: m[key], from: l.from(s.name + "." + key)})
			}
			continue
		}
		list = append(list, shown{s.name, s.show(), l.from(s.name), l.Means[s.name]})
	}
	return list
}

// show is the setting's value as a text or a list of texts.
func (s setting) show() any {
	switch v := s.value.Interface().(type) {
	case []string:
		if s.secret {
			return withoutSecrets(v)
		}
		return v
	case time.Duration:
		return spelling.Duration(v)
	case encoding.TextMarshaler:
		text, _ := v.MarshalText() // those of settings do not fail
		return string(text)
	}
	if s.secret && !s.value.IsZero() {
		return masked
	}
	return s.value.String()
}

// from is the origin as a reader sees it.
func (l *Loaded) from(name string) string {
	o := l.origin(name)
	if o.Where == "" {
		return o.Kind
	}
	return o.Kind + " " + o.Where
}

// WriteYAML writes the effective settings as a file that a server can read, with the
// origin of each behind it. Secrets are masked.
func (l *Loaded) WriteYAML(w io.Writer) error {
	var b bytes.Buffer
	var open []string // sections above the line
	for _, line := range l.lines() {
		path := strings.Split(line.name, ".")
		if m := l.mapping(line.name); m != "" { // the name of an entry may have dots itself
			path = []string{m, quoted(line.name[len(m)+1:])}
		}
		sections := path[:len(path)-1]
		for depth, s := range sections {
			if depth >= len(open) || !slices.Equal(open[:depth+1], sections[:depth+1]) {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", depth), s)
			}
		}
		open = sections
		text, err := inline(line.value)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%-40s # %s\n", strings.Repeat("  ", len(sections))+path[len(path)-1]+": "+text, line.origin())
	}
	_, err := w.Write(b.Bytes())
	return err
}

// mapping is the name of the setting that an entry belongs to, "" for other settings.
func (l *Loaded) mapping(name string) string {
	for _, s := range l.settings() {
		if _, ok := s.value.Interface().(map[string]string); ok && strings.HasPrefix(name, s.name+".") {
			return s.name
		}
	}
	return ""
}

func quoted(key string) string {
	text, err := inline(key)
	if err != nil {
		return key
	}
	return text
}

// inline writes a text or a list on one line.
func inline(v any) (string, error) {
	b, err := yaml.MarshalWithOptions(v, yaml.Flow(true), yaml.JSON())
	if text, ok := v.(string); ok && err == nil && plain(text) {
		return text, nil
	}
	return strings.TrimSpace(string(b)), err
}

// plain reports whether YAML reads a text without quotes as that text.
func plain(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == "" && !strings.HasPrefix(text, "-") && !strings.EqualFold(text, "null")
}

// WriteJSON writes the effective settings as one object: value and origin by name,
// and what a value that stands for another means here.
func (l *Loaded) WriteJSON(w io.Writer) error {
	type entry struct {
		Value any    `json:"value"`
		From  string `json:"from"`
		Means string `json:"means,omitempty"`
	}
	all := map[string]entry{}
	for _, line := range l.lines() {
		all[line.name] = entry{line.value, line.from, line.means}
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
