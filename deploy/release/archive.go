package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// beside are the files of the repository that come with the program, as patterns.
var beside = []string{"LICENSE", "CHANGELOG.md", "millrace.yml", "docs/guide/*.md", "docs/ref/*.md", "docs/design/*.md", "docs/design/decisions/*.md",
	"deploy/grafana/*", "deploy/prometheus/*", readme}

// readme becomes the README of the archive: that of the repository is for those who build.
const readme = "deploy/release/archive.md"

// linux are those that only make sense there.
var linux = []string{"deploy/systemd/*", "deploy/container/*"}

// pack makes the archive of a program.
func (w *workshop) pack(p *program) ([]byte, error) {
	files := map[string][]byte{"millrace": p.binary, "sbom.cdx.json": p.sbom, "THIRD-PARTY-LICENSES": notices(p.modules)}
	maps.Copy(files, w.papers)
	patterns := beside
	if p.os == "linux" {
		patterns = slices.Concat(beside, linux)
		files["container/data/"] = nil // what the image makes its volume of
	}
	if err := gather(files, os.DirFS(w.dir), patterns); err != nil {
		return nil, err
	}
	if dead := deadLinks(files); len(dead) > 0 {
		return nil, fmt.Errorf("links that lead nowhere in the archive:\n%s", strings.Join(dead, "\n"))
	}
	return tarball(p.name(), files, w.commit)
}

// gather adds the files of the repository to those of an archive, where there is no folder
// named deploy.
func gather(files map[string][]byte, repository fs.FS, patterns []string) error {
	for _, pattern := range patterns {
		names, err := fs.Glob(repository, pattern)
		if err == nil && len(names) == 0 {
			err = fmt.Errorf("there is no %s", pattern)
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			b, err := fs.ReadFile(repository, name)
			if err != nil {
				return err
			}
			if name == readme {
				b = []byte(strings.NewReplacer("](../../", "](", "](../", "](").Replace(string(b)))
				name = "README.md"
			}
			files[strings.TrimPrefix(name, "deploy/")] = b
		}
	}
	return nil
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// deadLinks are the relative links in the documents of an archive that lead to nothing in it.
func deadLinks(files map[string][]byte) (dead []string) {
	there := map[string]bool{}
	for name := range files {
		for name = path.Clean(name); name != "."; name = path.Dir(name) {
			there[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, m := range link.FindAllSubmatch(files[name], -1) {
			target, _, _ := strings.Cut(string(m[1]), "#")
			if target != "" && !strings.Contains(target, ":") && !there[path.Join(path.Dir(name), target)] {
				dead = append(dead, name+": "+target)
			}
		}
	}
	return dead
}

// tarball packs files, sorted by name and all of one time and one owner, below a folder. A
// name that ends in a slash is an empty folder.
func tarball(folder string, files map[string][]byte, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression) // no name and no time in its head
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		full := folder + "/" + name
		if err := folders(t, path.Dir(full), made, at); err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		mode := int64(0o644)
		if name == "millrace" {
			mode = 0o755
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: full, Mode: mode, Size: int64(len(files[name])), ModTime: at, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := t.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// folders writes the folders above a file, once each.
func folders(t *tar.Writer, dir string, made map[string]bool, at time.Time) error {
	if dir == "." || made[dir] {
		return nil
	}
	if err := folders(t, path.Dir(dir), made, at); err != nil {
		return err
	}
	made[dir] = true
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: at, Format: tar.FormatUSTAR})
}
