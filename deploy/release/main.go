// Command release makes what is published of a version: for each platform an archive with
// the program, its papers and a bill of materials, and the checksums of them all.
//
//	go run ./deploy/release -version v1.2.3 -out dist
//
// It builds what is committed, in a clone of its own, so that a changed work tree changes
// nothing, by the Go that go.mod names. The same commit and version give the same bytes
// on every machine: the go command stamps version and commit into the program, times are
// those of the commit, and everything is sorted.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// platforms are what a release is made for.
const platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

// maxProgram is how large the program may be, in bytes.
const maxProgram = 45_000_000

// job is what was asked for.
type job struct {
	source  string // the repository
	commit  string
	version string // "" = what the go command makes of the commit
	out     string
	targets []string // os/arch
	fresh   bool     // build with an empty cache
}

func main() {
	var j job
	var targets string
	var check bool
	flag.StringVar(&j.source, "source", ".", "repository whose HEAD is released")
	flag.StringVar(&j.version, "version", "", "version, such as v1.2.3; empty for one made of the commit")
	flag.StringVar(&j.out, "out", "dist", "folder for the files; those of a release before are removed")
	flag.StringVar(&targets, "targets", platforms, "platforms, os/arch with commas between")
	flag.BoolVar(&check, "check", false, "build once more, elsewhere and with an empty cache, and compare")
	flag.Parse()
	j.targets = strings.Split(targets, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// HEAD may move while this runs: what it is now counts.
	commit, err := (&workshop{env: os.Environ()}).do(ctx, j.source, "git", "rev-parse", "HEAD")
	j.commit = strings.TrimSpace(commit)
	if err == nil {
		err = j.run(ctx)
	}
	if err == nil && check {
		err = j.again(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes the release.
func (j job) run(ctx context.Context) (err error) {
	// A program cannot be told from another by where it was built, only here.
	dir, err := os.MkdirTemp("", "release-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(dir)) }()
	w, err := j.open(ctx, dir)
	if err != nil {
		return err
	}
	if err := empty(j.out); err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, target := range j.targets {
		p, err := w.program(ctx, target)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		archive, err := w.pack(p)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		files[p.name()+".tar.gz"], files[p.name()+".cdx.json"] = archive, p.sbom
		fmt.Printf("%-14s %s  program %.1f MB, archive %.1f MB, %d modules\n", target, p.version,
			float64(len(p.binary))/1e6, float64(len(archive))/1e6, len(p.modules))
	}
	files["SHA256SUMS"] = sums(files)
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(j.out, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// empty makes the folder and takes out of it what a release before put there, nothing else.
func empty(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, pattern := range []string{"millrace-*.tar.gz", "millrace-*.cdx.json", "SHA256SUMS"} {
		old, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil {
			return err
		}
		for _, name := range old {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// again makes the release once more and compares.
func (j job) again(ctx context.Context) (err error) {
	second := j
	if second.out, err = os.MkdirTemp("", "release-again-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(second.out)) }()
	second.fresh = true
	if err := second.run(ctx); err != nil {
		return err
	}
	return same(j.out, second.out)
}

// same compares the files of two folders.
func same(a, b string) error {
	entries, err := os.ReadDir(a)
	if err != nil {
		return err
	}
	others, err := os.ReadDir(b)
	if err != nil {
		return err
	}
	if len(entries) != len(others) {
		return fmt.Errorf("built twice: %d files, then %d", len(entries), len(others))
	}
	for _, e := range entries {
		one, err := os.ReadFile(filepath.Join(a, e.Name()))
		if err != nil {
			return err
		}
		two, err := os.ReadFile(filepath.Join(b, e.Name()))
		if err != nil {
			return err
		}
		if !bytes.Equal(one, two) {
			return fmt.Errorf("%s: built twice from one commit, the bytes differ", e.Name())
		}
	}
	fmt.Printf("built twice: %d files are equal\n", len(entries))
	return nil
}

// sums is the file that sha256sum -c reads.
func sums(files map[string][]byte) []byte {
	var lines []string
	for name, b := range files {
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(b), name))
	}
	// By name, which stands behind the sum and two spaces.
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return []byte(strings.Join(lines, ""))
}

// remove deletes a folder with what the go command made unwritable in it.
func remove(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o755)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
