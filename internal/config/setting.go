package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/spelling"
)

// setting is one value of a [Config] with its name, such as tls.cert.
type setting struct {
	name   string
	secret bool // never shown, or the secret words of its lines
	value  reflect.Value
}

// variable is the name of its environment variable.
func (s setting) variable() string {
	return prefix + strings.ToUpper(strings.ReplaceAll(s.name, ".", "_"))
}

// settings lists everything that can be set, in the order of the structs.
func (c *Config) settings() []setting { return collect("", reflect.ValueOf(c).Elem(), nil) }

func collect(section string, v reflect.Value, list []setting) []setting {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key := field.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		if f := v.Field(i); f.Kind() == reflect.Struct {
			list = collect(section+key+".", f, list)
		} else {
			list = append(list, setting{name: section + key, secret: field.Tag.Get("secret") != "", value: f})
		}
	}
	return list
}

// find returns the setting of a name.
func find(list []setting, name string) (setting, bool) {
	i := slices.IndexFunc(list, func(s setting) bool { return s.name == name })
	if i < 0 {
		return setting{}, false
	}
	return list[i], true
}

// suggest is "; did you mean ...?" for a name that is none, "" if nothing is near.
func suggest(list []setting, name string) string {
	var names, keys []string
	for _, s := range list {
		names = append(names, s.name)
		if section, _, ok := strings.Cut(s.name, "."); ok && !slices.Contains(names, section) {
			names = append(names, section)
		}
		keys = append(keys, s.name[strings.LastIndex(s.name, ".")+1:])
	}
	if n := spelling.Nearest(name, names); n != "" {
		return "; did you mean " + n + "?"
	}
	// It may be in the wrong section: "cert" is tls.cert.
	if i := slices.Index(keys, spelling.Nearest(name[strings.LastIndex(name, ".")+1:], keys)); i >= 0 {
		return "; did you mean " + list[i].name + "?"
	}
	return ""
}

// set gives a setting the value that a text means, and returns the names of what it set:
// the setting's own, or those of entries. Lists and pairs are separated by commas; pairs
// replace those of the same name and leave the others, as what is nearer replaces what
// is further away.
func (s setting) set(text string) ([]string, error) {
	switch p := s.value.Addr().Interface().(type) {
	case *[]string:
		*p = nil
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*p = append(*p, part)
			}
		}
	case *map[string]string:
		pairs, err := parsePairs(text)
		if err != nil {
			return nil, err
		}
		all := map[string]string{}
		maps.Copy(all, *p)
		maps.Copy(all, pairs)
		*p = all
		var names []string
		for _, name := range slices.Sorted(maps.Keys(pairs)) {
			names = append(names, s.name+"."+name)
		}
		return names, nil
	default:
		return []string{s.name}, setScalar(s.value, text)
	}
	return []string{s.name}, nil
}

func parsePairs(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, fmt.Errorf("%q: write NAME=VALUE, separated by commas", part)
		}
		if name = strings.TrimSpace(name); pairs[name] != "" {
			return nil, fmt.Errorf("%s stands there twice", name)
		}
		pairs[name] = strings.TrimSpace(value)
	}
	return pairs, nil
}

func setScalar(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration; write one such as 30s, 5m or 1h30m", text)
		}
		*p = d
		return nil
	}
	if v.Kind() != reflect.String {
		return errors.New("cannot be set by a text")
	}
	v.SetString(text)
	return nil
}
