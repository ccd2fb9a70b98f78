package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// beside are the files of the repository that come with the program, as patterns.
var beside = []string{"LICENSE", "README.md", "CHANGELOG.md", "millrace.yml", "docs/guide/*.md", "docs/ref/*.md", "deploy/grafana/*", "deploy/prometheus/*"}

// linux are those that only make sense there.
var linux = []string{"deploy/systemd/*", "deploy/container/*"}

// pack makes the archive of a program.
func (w *workshop) pack(p *program) ([]byte, error) {
	files := map[string][]byte{"millrace": p.binary, "sbom.cdx.json": p.sbom, "THIRD-PARTY-LICENSES": notices(p.modules)}
	maps.Copy(files, w.papers)
	patterns := beside
	if p.os == "linux" {
		patterns = append(patterns[:len(patterns):len(patterns)], linux...)
		files["container/data/"] = nil // what the image makes its volume of
	}
	var names []string
	for _, pattern := range patterns {
		found, err := fs.Glob(os.DirFS(w.dir), pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(w.dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		files[strings.TrimPrefix(name, "deploy/")] = b
	}
	return tarball(p.name(), files, w.commit)
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
