package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is a setting that differs between two configurations.
type Change struct {
	Setting  string
	From, To string // secrets are masked
}

// Changes lists the settings that differ, in the order of the file. Entries of a
// mapping, such as limits, are listed one by one.
func Changes(from, to *Config) (list []Change) {
	after := to.settings()
	for i, a := range from.settings() {
		b := after[i]
		if same(a.value, b.value) {
			continue
		}
		if m, ok := a.value.Interface().(map[string]string); ok {
			list = append(list, entryChanges(a.name, m, b.value.Interface().(map[string]string))...)
			continue
		}
		list = append(list, Change{a.name, text(a.show()), text(b.show())})
	}
	return list
}

// same takes no list and an empty one for the same.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func entryChanges(name string, from, to map[string]string) (list []Change) {
	all := maps.Clone(from)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, to)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if a, b := from[key], to[key]; a != b {
			list = append(list, Change{name + "." + key, a, b})
		}
	}
	return list
}

func text(v any) string {
	if list, ok := v.([]string); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(v)
}

// Take gives a setting, or one entry of a mapping, the value that it has in from.
func (c *Config) Take(name string, from *Config) {
	source := from.settings()
	for i, s := range c.settings() {
		if s.name == name || s.value.Kind() == reflect.Map && strings.HasPrefix(name, s.name+".") {
			s.value.Set(source[i].value)
		}
	}
}
