package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// The archive depends on its files alone: sorted, one time, nobody's names.
func TestTarball(t *testing.T) {
	files := map[string][]byte{"millrace": []byte("program"), "man/millrace.1": []byte("page"), "LICENSE": nil, "completions/_millrace": []byte("z"), "empty/": nil}
	one, err := tarball("millrace-v1.2.3-linux-arm64", files, at)
	if err != nil {
		t.Fatal(err)
	}
	two, err := tarball("millrace-v1.2.3-linux-arm64", files, at)
	if err != nil || !bytes.Equal(one, two) {
		t.Fatalf("packed twice, it differs: %v", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("gzip names %q of %v", z.Name, z.ModTime)
	}
	var got []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(at) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s: %v %d:%d %s:%s", h.Name, h.ModTime, h.Uid, h.Gid, h.Uname, h.Gname)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+strings.TrimPrefix(h.Name, "millrace-v1.2.3-linux-arm64/")+" "+string(b))
	}
	want := []string{"drwxr-xr-x  ", "-rw-r--r-- LICENSE ", "drwxr-xr-x completions/ ", "-rw-r--r-- completions/_millrace z", "drwxr-xr-x empty/ ",
		"drwxr-xr-x man/ ", "-rw-r--r-- man/millrace.1 page", "-rwxr-xr-x millrace program"}
	if !slices.Equal(got, want) {
		t.Errorf("packed\n%q, want\n%q", got, want)
	}
}

// Every link in the documents of an archive leads to something in it, on every system.
func TestLinksOfTheArchive(t *testing.T) {
	for name, patterns := range map[string][]string{"linux": slices.Concat(beside, linux), "darwin": beside} {
		files := map[string][]byte{}
		if err := gather(files, os.DirFS("../.."), patterns); err != nil {
			t.Fatal(err)
		}
		if dead := deadLinks(files); len(dead) > 0 {
			t.Errorf("%s: dead links:\n%s", name, strings.Join(dead, "\n"))
		}
		if text := string(files["README.md"]); !strings.Contains(text, "./millrace serve --dev") || strings.Contains(text, "make ") || strings.Contains(text, "../") {
			t.Errorf("%s: the README is not for an archive:\n%s", name, text)
		}
	}
	got := deadLinks(map[string][]byte{"a/b.md": []byte("[x](c.md#part) [y](../d) [z](#here) [w](https://e.test/f) [v](../a) [u](gone.md)"), "a/c.md": nil, "d/e": nil})
	if want := []string{"a/b.md: gone.md"}; !slices.Equal(got, want) {
		t.Errorf("dead are %q, want %q", got, want)
	}
	if err := gather(map[string][]byte{}, os.DirFS("."), []string{"gone/*"}); err == nil {
		t.Error("a pattern that fits nothing is no error")
	}
}

func TestSums(t *testing.T) {
	got := string(sums(map[string][]byte{"b": nil, "a": []byte("x")}))
	want := "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  a\n" +
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n"
	if got != want {
		t.Errorf("%q", got)
	}
}

func TestSame(t *testing.T) {
	folder := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	a := folder(map[string]string{"x": "1", "y": "2"})
	if err := same(a, folder(map[string]string{"x": "1", "y": "2"})); err != nil {
		t.Error(err)
	}
	for _, other := range []map[string]string{{"x": "1", "y": "3"}, {"x": "1"}, {"x": "1", "z": "2"}, {"x": "1", "y": "2", "z": ""}} {
		if same(a, folder(other)) == nil {
			t.Errorf("%v is the same", other)
		}
	}
}

// A folder that somebody names by mistake keeps what is theirs.
func TestEmpty(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"millrace-v1-linux-amd64.tar.gz", "millrace-v1-linux-amd64.cdx.json", "SHA256SUMS", "millrace.yml", "notes"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := empty(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "millrace.yml" || entries[1].Name() != "notes" {
		t.Errorf("%v is left, %v", entries, err)
	}
	if err := empty(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
}

// What nobody may link is found before it is published.
func TestLicences(t *testing.T) {
	const mit = "MIT License\n\nPermission is hereby granted, free of charge,\nto any person obtaining a copy of"
	for text, want := range map[string]string{
		mit: "MIT",
		"                GNU AFFERO\n   GENERAL PUBLIC LICENSE": "AGPL-3.0-only",
		"Apache License\n   Version 2.0, January 2004":          "Apache-2.0",
		"a notice without a licence":                            "",
	} {
		if got := recognise([]byte(text)); got != want {
			t.Errorf("%.30q is %q, want %q", text, got, want)
		}
	}
	for name, c := range map[string]struct {
		texts []paper
		fails string
	}{
		"permitted":      {[]paper{{"LICENSE", []byte(mit)}, {"NOTICE", []byte("by me")}}, ""},
		"none":           {nil, "no licence"},
		"unknown":        {[]paper{{"LICENSE", []byte("ask me")}}, "no licence"},
		"copyleft":       {[]paper{{"LICENSE", []byte(mit)}, {"COPYING", []byte("GNU General Public License")}}, "does not permit"},
		"of many things": {[]paper{{"LICENSE", []byte(mit)}, {"LICENSE-3RD-PARTY.md", []byte("GNU General Public License")}}, ""},
	} {
		m := module{path: "example.com/m", texts: c.texts}
		if err := m.classify(); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", name, err, c.fails)
		}
	}
	for name, want := range map[string]bool{"LICENSE": true, "COPYING.txt": true, "LICENSE-SQLITE": true, "Notice.md": true,
		"COPYRIGHT": true, "licenses_test": false, "strcopy": false, "README.md": false} {
		if paperName.MatchString(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	text := string(notices([]module{{path: "std", version: "1.26", licences: []string{"MIT"}, texts: []paper{{"LICENSE", []byte(mit + "\n\n")}}}}))
	if !strings.Contains(text, "the standard library of Go 1.26: MIT") || !strings.Contains(text, mit) {
		t.Errorf("notices:\n%s", text)
	}
}

// The bill of materials is JSON in which every reference leads somewhere.
func TestBill(t *testing.T) {
	p := &program{os: "linux", arch: "arm64", version: "v1.2.3", binary: []byte("program"), modules: []module{
		{path: "example.com/a", version: "v1.0.0+x", sum: "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", licences: []string{"MIT"}},
		{path: "std", version: "1.26.8", licences: []string{"BSD-3-Clause", "LicenseRef-public-domain"}}}}
	info := &debug.BuildInfo{Main: debug.Module{Path: "github.com/millrace/millrace"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}}
	b, err := bill(p, info, at)
	if err != nil {
		t.Fatal(err)
	}
	var got bom
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{got.Metadata.Component.Ref: true}
	for _, c := range got.Components {
		refs[c.Ref] = true
	}
	for _, d := range got.Dependencies {
		for _, ref := range append(d.On, d.Ref) {
			if !refs[ref] {
				t.Errorf("%s is no component", ref)
			}
		}
	}
	if len(got.Dependencies) != 3 || len(got.Dependencies[0].On) != 2 || got.Metadata.Timestamp != "2026-01-02T03:04:05Z" ||
		got.Components[0].Purl != "pkg:golang/example.com/a@v1.0.0%2Bx" ||
		got.Components[0].Hashes[0].Content != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" ||
		got.Components[1].Licences[1].Licence.Name != "public-domain" ||
		!regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(got.Serial) {
		t.Errorf("%s", b)
	}
	p.modules[0].sum = "h1:?"
	if _, err := bill(p, info, at); err == nil {
		t.Error("a broken checksum is taken")
	}
}

// A version that is tagged elsewhere is not released again.
func TestTags(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		c := exec.Command("git", append([]string{"-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main", "-c", "commit.gpgSign=false"}, args...)...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "one")
	w := &workshop{dir: dir, env: os.Environ()}
	for range 2 { // the second time it is there
		if err := w.tag(t.Context(), "v1.0.0"); err != nil {
			t.Error(err)
		}
	}
	git("commit", "-q", "--allow-empty", "-m", "two")
	if err := w.tag(t.Context(), "v1.0.0"); err == nil || !strings.Contains(err.Error(), "tagged already") {
		t.Errorf("the tag of another commit: %v", err)
	}
}

// Whatever Go is installed and however it is set up, a release is built by the Go that
// go.mod names, as it is by default.
func TestTheGoOfARelease(t *testing.T) {
	set := filepath.Join(t.TempDir(), "env") // by go env -w
	if err := os.WriteFile(set, []byte("GOFIPS140=latest\nGOPROXY=https://proxy.example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"GOENV": set, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOPROXY": "", "GOSUMDB": "sum.example.com"} {
		t.Setenv(name, value)
	}
	for text, want := range map[string]string{
		"module m\n\ngo 1.26.0\n\ntoolchain go1.99.3\n": "go1.99.3",
		"module m\n\ngo 1.26.2\n":                       "go1.26.2",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w := &workshop{dir: dir, env: os.Environ()}
		if err := w.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{} // the last one counts
		for _, line := range w.env {
			name, value, _ := strings.Cut(line, "=")
			got[name] = value
		}
		for name, value := range map[string]string{"GOTOOLCHAIN": want, "GOENV": "off", "GOEXPERIMENT": "", "GOFIPS140": "off", "GOFLAGS": "-mod=readonly",
			"GOPROXY": "https://proxy.example.com", "GOSUMDB": "sum.example.com"} {
			if got[name] != value {
				t.Errorf("%s is %q, want %q", name, got[name], value)
			}
		}
	}
}
