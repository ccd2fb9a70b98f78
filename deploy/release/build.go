package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// workshop is a clone of the repository that programs are built in.
type workshop struct {
	dir    string // the clone
	made   string // where programs go
	env    []string
	commit time.Time
	want   string            // the version that must come out
	papers map[string][]byte // page and completions, by their name in the archive

	toolchain string // the Go that go.mod names, such as go1.26.8
}

// program is one built program.
type program struct {
	os, arch string
	version  string
	binary   []byte
	modules  []module
	sbom     []byte
}

// name is that of the archive and of the folder in it.
func (p *program) name() string { return "millrace-" + p.version + "-" + p.os + "-" + p.arch }

// open clones the repository and gives the commit the version's tag, from which the go
// command takes what it stamps into programs.
func (j job) open(ctx context.Context, dir string) (*workshop, error) {
	w := &workshop{dir: filepath.Join(dir, "millrace"), made: dir, want: j.version, env: os.Environ()}
	if _, err := w.do(ctx, j.source, "git", "clone", "--quiet", "--no-hardlinks", ".", w.dir); err != nil {
		return nil, err
	}
	if _, err := w.do(ctx, w.dir, "git", "checkout", "--quiet", "--detach", j.commit); err != nil {
		return nil, err
	}
	if j.version != "" {
		if err := w.tag(ctx, j.version); err != nil {
			return nil, err
		}
	}
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	if j.fresh {
		w.env = append(w.env, "GOCACHE="+filepath.Join(dir, "cache"))
	}
	text, err := w.do(ctx, w.dir, "git", "log", "-1", "--format=%cI")
	if err != nil {
		return nil, err
	}
	w.commit, err = time.Parse(time.RFC3339, strings.TrimSpace(text))
	return w, err
}

// tag makes sure that HEAD has the version's tag.
func (w *workshop) tag(ctx context.Context, version string) error {
	head, err := w.do(ctx, w.dir, "git", "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if tagged, err := w.do(ctx, w.dir, "git", "rev-parse", "--verify", "--quiet", version+"^{commit}"); err == nil {
		if tagged != head {
			return fmt.Errorf("%s is tagged already, at another commit than HEAD: check it out, or take another version", version)
		}
		return nil
	}
	_, err = w.do(ctx, w.dir, "git", "-c", "tag.gpgSign=false", "tag", version)
	return err
}

// program builds for one platform and collects what belongs to the program.
func (w *workshop) program(ctx context.Context, target string) (*program, error) {
	goos, arch, ok := strings.Cut(target, "/")
	if !ok {
		return nil, errors.New("write os/arch")
	}
	path := filepath.Join(w.made, goos+"-"+arch)
	info, err := w.build(ctx, path, goos, arch)
	if err != nil {
		return nil, err
	}
	p := &program{os: goos, arch: arch, version: info.Main.Version}
	if w.want != "" && p.version != w.want {
		return nil, fmt.Errorf("the go command made %q of the version %q: write v, and three numbers with dots between", p.version, w.want)
	}
	if !strings.HasPrefix(p.version, "v") || strings.Contains(p.version, "+dirty") {
		return nil, fmt.Errorf("the go command stamped the version %q: is git there, and all of the repository's history?", p.version)
	}
	if info.GoVersion != w.toolchain {
		return nil, fmt.Errorf("it was built by %s, but go.mod names %s: is that one as it was published?", info.GoVersion, w.toolchain)
	}
	if p.binary, err = os.ReadFile(path); err != nil {
		return nil, err
	}
	if len(p.binary) > maxProgram {
		return nil, fmt.Errorf("the program has %d bytes, at most %d", len(p.binary), maxProgram)
	}
	if p.modules, err = w.modules(ctx, info, goos, arch); err != nil {
		return nil, err
	}
	if p.sbom, err = bill(p, info, w.commit); err != nil {
		return nil, err
	}
	return p, w.write(ctx)
}

// build makes a static program without symbols and returns what is stamped into it.
func (w *workshop) build(ctx context.Context, path, goos, arch string) (*debug.BuildInfo, error) {
	env := w.env
	w.env = append(w.env[:len(w.env):len(w.env)], "GOOS="+goos, "GOARCH="+arch)
	_, err := w.do(ctx, w.dir, "go", "build", "-buildvcs=true", "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/millrace")
	w.env = env
	if err != nil {
		return nil, err
	}
	return buildinfo.ReadFile(path)
}

// write lets the program write its own page and completions, once.
func (w *workshop) write(ctx context.Context) error {
	if w.papers != nil {
		return nil
	}
	path := filepath.Join(w.made, runtime.GOOS+"-"+runtime.GOARCH)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := w.build(ctx, path, runtime.GOOS, runtime.GOARCH); err != nil {
			return err
		}
	}
	w.papers = map[string][]byte{}
	for name, args := range map[string][]string{
		"man/millrace.1":            {"man"},
		"completions/millrace":      {"completion", "bash"},
		"completions/_millrace":     {"completion", "zsh"},
		"completions/millrace.fish": {"completion", "fish"},
	} {
		text, err := w.do(ctx, w.dir, path, args...)
		if err != nil {
			return err
		}
		w.papers[name] = []byte(text)
	}
	return nil
}

// do runs a program and returns what it printed.
func (w *workshop) do(ctx context.Context, dir, name string, args ...string) (string, error) {
	var out, errs bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, w.env, &out, &errs
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}
