package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// module is one that is linked into the program.
type module struct {
	path, version, sum string
	licences           []string // SPDX names
	texts              []paper
}

// paper is one licence or notice.
type paper struct {
	name string // beside or above the linked packages
	text []byte
}

// modules finds what is linked into the program, with its licences. A module without a
// licence that is known and permits linking is an error.
func (w *workshop) modules(ctx context.Context, info *debug.BuildInfo, goos, arch string) ([]module, error) {
	env := w.env
	defer func() { w.env = env }()
	w.env = append(env[:len(env):len(env)], "GOOS="+goos, "GOARCH="+arch)
	listed, err := w.do(ctx, w.dir, "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}\t{{$.Dir}}{{end}}", "./cmd/millrace")
	if err != nil {
		return nil, err
	}
	root, err := w.do(ctx, w.dir, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	std := module{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}
	root = strings.TrimSpace(root)
	if std.texts, err = papers(root, []string{root}); err != nil {
		return nil, err
	}
	all := []module{std}
	for _, d := range info.Deps {
		if d.Replace != nil {
			return nil, fmt.Errorf("%s is replaced: a release is made of published modules", d.Path)
		}
		m := module{path: d.Path, version: d.Version, sum: d.Sum}
		home, linked := folderOf(listed, d.Path)
		if m.texts, err = papers(home, linked); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	for i := range all {
		if err := all[i].classify(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// folderOf is a module's folder and those of its packages that are linked.
func folderOf(listed, path string) (home string, linked []string) {
	for line := range strings.Lines(listed) {
		parts := strings.Split(strings.TrimSpace(line), "\t")
		if len(parts) == 3 && parts[0] == path {
			home = parts[1]
			linked = append(linked, parts[2])
		}
	}
	return home, linked
}

var paperName = regexp.MustCompile(`(?i)^(.*-)?(licen[cs]e|copying|notice|patents|copyright)([-.].*)?$`)

// papers reads the licences and notices in the given folders and those above them, up to
// the module's.
func papers(home string, linked []string) (found []paper, err error) {
	seen := map[string]bool{}
	for _, dir := range linked {
		for ; !seen[dir] && strings.HasPrefix(dir, home); dir = filepath.Dir(dir) {
			seen[dir] = true
			entries, err := os.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if ext := filepath.Ext(e.Name()); !e.Type().IsRegular() || !paperName.MatchString(e.Name()) || ext == ".go" {
					continue
				}
				text, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					return nil, err
				}
				name, _ := filepath.Rel(home, filepath.Join(dir, e.Name()))
				found = append(found, paper{filepath.ToSlash(name), text})
			}
		}
	}
	slices.SortFunc(found, func(a, b paper) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// signs tell licences by words that only they have, the first that fits.
var signs = []struct{ spdx, words string }{
	{"AGPL-3.0-only", "gnu affero general public license"},
	{"LGPL-2.1-only", "gnu lesser general public license"},
	{"GPL-2.0-only", "gnu general public license"},
	{"Apache-2.0", "apache license version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee"},
	{"BSD-3-Clause", "endorse or promote products derived from this software"},
	{"BSD-2-Clause", "redistribution and use in source and binary forms, with or without"},
	{"blessing", "may you do good and not evil"},
	{"LicenseRef-public-domain", "public domain"},
}

// permitted are those that may be linked into the program without more than their text.
var permitted = []string{"Apache-2.0", "MIT", "ISC", "BSD-3-Clause", "BSD-2-Clause", "blessing", "LicenseRef-public-domain"}

var spaces = regexp.MustCompile(`[\s#*/_,]+`)

// plain is a text in small letters with one space between words.
func plain(text string) string { return spaces.ReplaceAllString(strings.ToLower(text), " ") }

// recognise returns the SPDX name of a licence, "" for what is none.
func recognise(text []byte) string {
	words := plain(string(text))
	for _, s := range signs {
		if strings.Contains(words, plain(s.words)) {
			return s.spdx
		}
	}
	return ""
}

// collected is a file with the licences of many things, also of some that are not linked:
// it is passed on, but says nothing about the module itself.
var collected = regexp.MustCompile(`(?i)(3rd|third)[-_]?party`)

// classify names the licences of the module.
func (m *module) classify() error {
	for _, p := range m.texts {
		if collected.MatchString(p.name) {
			continue
		}
		if name := recognise(p.text); name != "" && !slices.Contains(m.licences, name) {
			m.licences = append(m.licences, name)
		}
	}
	slices.Sort(m.licences)
	if len(m.licences) == 0 {
		return fmt.Errorf("%s: no licence that is known; see what it permits and add it", m.path)
	}
	for _, l := range m.licences {
		if !slices.Contains(permitted, l) {
			return fmt.Errorf("%s: %s does not permit linking it", m.path, l)
		}
	}
	return nil
}

// notices is the file with all texts that licences want to be passed on.
func notices(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("Millrace is licensed under the Apache License 2.0, see LICENSE. The program contains\nthe following parts of others, under their own licences.\n\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s %s: %s\n", m.title(), m.version, strings.Join(m.licences, ", "))
	}
	for _, m := range modules {
		for _, p := range m.texts {
			fmt.Fprintf(&b, "\n%s\n%s %s, %s\n\n%s\n", strings.Repeat("=", 78), m.title(), m.version, p.name, bytes.TrimSpace(p.text))
		}
	}
	return b.Bytes()
}

func (m *module) title() string {
	if m.path == "std" {
		return "the standard library of Go"
	}
	return m.path
}
