package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

// canaries are random values that must not be found on disk, by what they stand in.
type canaries map[string][]byte

// newCanaries are values for a frame, a tag, private data and a Title. Texts have 16 hex
// digits behind a mark, so they are texts that stand nowhere else.
func newCanaries() canaries {
	c := canaries{}
	for _, name := range []string{"frame", "binary tag", "private data", "tag", "refused tag", "Title"} {
		v := make([]byte, 16)
		_, _ = rand.Read(v)
		if strings.HasSuffix(name, "tag") && name != "binary tag" || name == "Title" {
			v = []byte(hex.EncodeToString(v)[:16])
		}
		c[name] = v
	}
	return c
}

// forms are a value as it is and as a log or a JSON file would show it.
func forms(v []byte) [][]byte {
	return [][]byte{v, []byte(hex.EncodeToString(v)), []byte(strings.ToUpper(hex.EncodeToString(v))),
		[]byte(strings.TrimRight(base64.StdEncoding.EncodeToString(v), "=")), []byte(base64.RawURLEncoding.EncodeToString(v)),
		fmt.Append(nil, v)}
}

// in returns the names of the values found in b.
func (c canaries) in(b []byte) (found []string) {
	for name, v := range c {
		if slices.ContainsFunc(forms(v), func(form []byte) bool { return bytes.Contains(b, form) }) {
			found = append(found, name)
		}
	}
	return found
}

// search reads every byte of every file below a folder, and says which value is where.
// Files may come and go meanwhile.
func (c canaries) search(root string) (found []string, files int, err error) {
	err = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files++
		for _, what := range c.in(b) {
			found = append(found, what+" in "+strings.TrimPrefix(name, root))
		}
		return err
	})
	return found, files, err
}

// film is a document with the values in it, in n fragments of 100 KB.
func (c canaries) film(n int) []byte {
	b := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"})
	b = mkv.AppendSegmentUnknown(b)
	b = mkv.AppendInfo(b, &mkv.Info{MuxingApp: "test", WritingApp: "test", Title: string(c["Title"])})
	b = mkv.AppendTracks(b, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC", CodecPrivate: c["private data"]}})
	for i := range n {
		b = mkv.AppendTags(b, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "place", Value: string(c["tag"])}, {Name: "seal", Binary: c["binary tag"]}}}})
		b = mkv.AppendClusterUnknown(b, uint64(epoch+1000*i))
		frame := append(make([]byte, 20_000), c["frame"]...)
		for f := range 5 {
			b = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1, Time: int16(200 * f), Key: f == 0}, frame)
		}
	}
	return b
}

// refused are fragments with the values that are refused, for a report that must not
// have them.
func (c canaries) refused() []byte {
	long := strings.Repeat(string(c["refused tag"]), 20)
	return slices.Concat(c.film(1), foreignFrame, mkv.AppendTags(nil, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "place", Value: long}}}}),
		mkv.AppendClusterUnknown(nil, epoch+1000), mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Key: true}, c["frame"]))
}

// watch searches again and again until the returned function is called, which returns
// what was found and how many files were read in all.
func (c canaries) watch(root string) func() ([]string, int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	var found []string
	var files int
	var err error
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil && err == nil {
			var more []string
			var read int
			more, read, err = c.search(root)
			found, files = append(found, more...), files+read
		}
	})
	return func() ([]string, int, error) {
		cancel()
		done.Wait()
		return found, files, err
	}
}

// withKeys adds the data keys of media, and the wrapping key as bytes.
func (c canaries) withKeys(p *plant) canaries {
	p.t.Helper()
	all := canaries{}
	for name, v := range c {
		all[name] = v
	}
	for _, e := range p.ring.Entries() {
		k, err := p.ring.Key(p.t.Context(), e.Stream, e.ID)
		if err != nil {
			p.t.Fatal(err)
		}
		all[fmt.Sprint("data key of stream ", e.Stream)] = k.Secret[:]
	}
	if len(all) == len(c) {
		p.t.Error("there are no data keys")
	}
	return all
}

// nothing wants none of the values in any file, nor in the log.
func (c canaries) nothing(p *plant, when string) {
	p.t.Helper()
	found, files, err := c.search(p.config.Data)
	if len(found) > 0 || err != nil || files < 8 {
		p.t.Errorf("%s: %v in %d files, %v", when, found, files, err)
	}
	if found := c.in([]byte(p.log.String())); len(found) > 0 {
		p.t.Errorf("%s: %v in the log", when, found)
	}
}

// gives wants the values in what a consumer gets: they did go in.
func (c canaries) gives(p *plant, stream string, names ...string) {
	p.t.Helper()
	r, err := p.Stream(p.t.Context(), wire.ByName("GetMediaForFragmentList"), &wire.GetMediaForFragmentListInput{StreamName: &stream, Fragments: p.list(stream)[:2]})
	if err != nil {
		p.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		p.t.Fatal(err)
	}
	for _, name := range names {
		if !bytes.Contains(body, c[name]) {
			p.t.Errorf("the %s does not come out", name)
		}
	}
}

// No byte of media, of what describes them or of the keys they are sealed with stands on
// disk: while they arrive, when they are stored, after the index was made anew, and
// after they expired. Media of a stream without retention do not come there at all.
func TestNothingOfMediaIsReadableOnDisk(t *testing.T) {
	c, data := newCanaries(), t.TempDir()
	now, err := clock.Parse("2030-01-01@0", nil)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *plant {
		return newPlant(t, func(s *config.Config) {
			s.Data, s.Emulate.Clock, s.Real = data, now, time.Now
			s.Archive.SegmentBytes, s.Archive.ExpireEvery = 1<<20, 20*time.Millisecond
		})
	}
	p := start()
	p.create("yard", 1)
	p.create("gate", 0)
	stop := c.watch(data)
	const fragments = 25
	for _, stream := range []string{"yard", "gate"} {
		if acks := p.send(stream, c.film(fragments)); len(acks) < 2*fragments {
			t.Errorf("%s: %d acknowledgements", stream, len(acks))
		}
	}
	p.send("yard", c.refused())
	if found, files, err := stop(); len(found) > 0 || err != nil || files == 0 {
		t.Errorf("during ingest: %v in %d files, %v", found, files, err)
	}
	if n := len(p.why(of("yard")).Rejections); n != 2 {
		t.Errorf("%d refusals", n)
	}
	all := c.withKeys(p)
	c.gives(p, "yard", "frame", "private data", "Title", "tag", "binary tag")
	all.nothing(p, "stored")
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	all.nothing(p, "stopped")

	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		if err := os.Remove(filepath.Join(data, "archive", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	stop = all.watch(data)
	p = start()
	if found, _, err := stop(); len(found) > 0 || err != nil {
		t.Errorf("during the rebuild: %v, %v", found, err)
	}
	all.nothing(p, "rebuilt")
	all.gives(p, "yard", "frame", "private data", "Title", "tag", "binary tag")

	stop = all.watch(data)
	if err := now.Set("+3h"); err != nil {
		t.Fatal(err)
	}
	p.until("everything expired", func() bool {
		s, err := p.archive.Stats(t.Context())
		return err == nil && s.Fragments == 0
	})
	if found, _, err := stop(); len(found) > 0 || err != nil {
		t.Errorf("while they expired: %v, %v", found, err)
	}
	all.nothing(p, "expired")
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	all.nothing(p, "stopped again")
}

// The search finds what there is to find: a value that somebody left in a file, whatever
// the file is called and wherever it stands in it, and also as text.
func TestTheSearchFindsPlantedValues(t *testing.T) {
	for name, form := range map[string]func([]byte) []byte{
		"as it is":  func(v []byte) []byte { return v },
		"as hex":    func(v []byte) []byte { return []byte(hex.EncodeToString(v)) },
		"as base64": func(v []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(v)) },
	} {
		t.Run(name, func(t *testing.T) {
			c, root := newCanaries(), t.TempDir()
			for what, v := range c {
				dir := filepath.Join(root, "archive", "segments")
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				planted := filepath.Join(dir, ".tmp-1")
				text := slices.Concat(make([]byte, 1<<20-7), form(v), make([]byte, 100))
				if err := os.WriteFile(planted, text, 0o600); err != nil {
					t.Fatal(err)
				}
				found, _, err := c.search(root)
				if err != nil || len(found) != 1 || !strings.HasPrefix(found[0], what+" in ") {
					t.Errorf("%s: found %v, %v", what, found, err)
				}
				if err := os.Remove(planted); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	c := newCanaries()
	film := c.film(1)
	if found := c.in(film); len(found) != len(c)-1 { // all but that of the refused tag
		t.Errorf("in the media themselves: %v", found)
	}
}

// patience is how long anything may take that should happen soon: long, because the machine
// may be slow, and never waited for when all is well.
const patience = 2 * time.Minute

// until waits for something to become so.
func (p *plant) until(what string, so func() bool) {
	p.t.Helper()
	for deadline := time.After(patience); !so(); {
		select {
		case <-deadline:
			p.t.Fatalf("%s: not within %v", what, patience)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
