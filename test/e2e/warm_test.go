package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// segmentsIn are the names of segment files in a folder.
func segmentsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "segments"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".seg") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// Media of a stream of the tier WARM move to their folder while they are stored, listed and
// read, and nobody sees it: not a consumer that reads from the first fragment on, nor lists,
// nor a check, nor a backup that is restored.
func TestWarmMediaMoveWhileTheyAreRead(t *testing.T) {
	warm := temporary(t, "warm")
	if err := os.Mkdir(warm, 0o700); err != nil {
		t.Fatal(err)
	}
	settings := "account: \"" + account + "\"\narchive:\n  segment_bytes: 1MiB\n  expire_every: 100ms\n"
	config := temporary(t, "millrace.yml")
	if err := os.WriteFile(config, []byte(settings+"  warm_dir: "+warm+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, config)
	s.caller(t).must(t, "CreateStream", object{"StreamName": "yard", "DataRetentionInHours": 720,
		"StreamStorageConfiguration": object{"DefaultStorageTier": "WARM"}}, nil)
	f := newFilmer("yard", 1, new(atomic.Int64))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	c := s.client(t)
	wg.Go(func() {
		for ctx.Err() == nil {
			f.film(ctx, c, 1000)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)

	whole := func(k *chunk) error { return f.was(k) }
	for moved := 0; moved < 4; {
		// All that is listed now, in the middle of moves.
		var numbers []string
		for _, one := range s.listing(t, "yard") {
			numbers = append(numbers, *one.FragmentNumber)
		}
		s.read(t, "yard", numbers, whole)
		f.replay(t, s, len(numbers))
		moved = len(segmentsIn(t, warm))
	}
	s.check(t, "--deep") // beside the moves
	stop()

	dir := temporary(t, "backups")
	run(t, environment(), program(t), "backup", dir, "--data", s.data)
	eventually(t, "sealed segments have moved", func() error {
		if n := len(segmentsIn(t, filepath.Join(s.data, "archive"))); n > 1 {
			return fmt.Errorf("%d are in the data directory", n)
		}
		return nil
	})
	f.all(t, s)
	s.stop(t)
	s.check(t, "--deep")
	again := s.again(t)
	f.all(t, again)

	key, data, empty := temporary(t, "key"), temporary(t, "restored"), temporary(t, "emptied")
	run(t, environment(), program(t), "key-file", "export", key, "--data", s.data)
	run(t, environment(), program(t), "restore", dir, "--data", data, "--key-file", key)
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(settings+"  warm_dir: "+empty+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newServer(t, "--config", config, "--data", data)
	r.key, r.secret, r.account = s.key, s.secret, s.account
	r.start(t)
	eventually(t, "what was restored moves", func() error {
		if len(segmentsIn(t, empty)) < 4 {
			return errors.New("not yet")
		}
		return nil
	})
	f.all(t, r)
	r.stop(t)
	r.check(t, "--deep")
}

// was compares a chunk with what was sent.
func (f *filmer) was(k *chunk) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sha256.Sum256(k.cluster) != f.sent[int64(k.timecode)] {
		return errors.New("is not what was sent")
	}
	return nil
}

// replay reads the first fragments that are stored with GetMedia.
func (f *filmer) replay(t *testing.T, s *server, n int) {
	t.Helper()
	resp, err := s.client(t).Stream(t.Context(), wire.ByName("GetMedia"), &wire.GetMediaInput{StreamName: &f.stream,
		StartSelector: &wire.StartSelector{StartSelectorType: new("EARLIEST")}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	chunks := newChunks(resp.Body)
	for i := range n {
		k, err := chunks.next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("GetMedia ended after %d fragments of %d", i, n)
		}
		if err == nil {
			err = f.was(k)
		}
		if err != nil {
			t.Fatalf("fragment %d of GetMedia: %v", i, err)
		}
	}
}

// all reads everything that was acknowledged.
func (f *filmer) all(t *testing.T, s *server) {
	t.Helper()
	numbers := slices.Sorted(maps.Keys(f.known()))
	s.read(t, f.stream, numbers, f.was)
	f.replay(t, s, len(numbers))
}
