package inspect

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// tombstoneFormat is that of tombstones, as the page draws it.
var tombstoneFormat = journal.Format{Magic: "MLRCTMB\n", Size: 48}

const (
	keysFile      = "keys"
	tombstoneFile = "tombstones"
)

// journals checks keys and tombstones and keeps what they say.
func (c *check) journals(ctx context.Context) error {
	return c.settle(ctx, c.readJournals)
}

// readJournals reads both journals. l may be nil: then nothing is reported.
func (c *check) readJournals(ctx context.Context, l *look) (err error) {
	if l == nil {
		l = &look{seen: map[place]bool{}, over: map[int]int{}}
	}
	if c.keys, err = c.readKeys(l); err != nil {
		return err
	}
	c.dead, err = c.readTombstones(ctx, l)
	return err
}

// readJournal reads one journal and says whether it is intact. One that is missing is
// empty; the server makes it when it starts.
func (c *check) readJournal(l *look, name string, f journal.Format, each func(at int64, payload []byte)) (salt uint64, err error) {
	file, err := os.Open(filepath.Join(c.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close() // only read from
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	intact := int64(0)
	salt, end, err := journal.Read(file, info.Size(), f, func(at int64, payload []byte) error {
		intact++
		each(at, payload)
		return nil
	})
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return 0, err // it could not be read
	}
	const head = 64
	bad := (end-head)/int64(f.Size) - intact
	switch {
	case err != nil && info.Size() <= head && intact == 0 && c.Live:
		return 0, nil // it is being made
	case err != nil:
		l.found(finding(refuse, 15, "%s: %v", name, err))
	case bad > 0:
		l.found(finding(start, 15, "%s: %d of its entries are damaged; what they said is lost", name, bad))
	case end < info.Size():
		l.found(finding(start, 15, "%s: its last %d bytes are no entries", name, info.Size()-end))
	}
	return salt, nil
}

// keys tells whose data key has which id.
type keys struct {
	owners  []owner
	missing bool // there is no file, and media need one
}

type owner struct {
	id     uint64
	stream kvs.StreamID
	at     int64 // where its entry stands
}

func (c *check) readKeys(l *look) (*keys, error) {
	k := &keys{missing: c.keysMissing(l)}
	_, err := c.readJournal(l, keysFile, keyring.Format, func(at int64, b []byte) {
		k.owners = append(k.owners, owner{binary.LittleEndian.Uint64(b), kvs.StreamID(binary.LittleEndian.Uint64(b[8:])), at})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(k.owners, func(a, b owner) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.stream, b.stream)) })
	for i := 1; i < len(k.owners); i++ {
		if a, b := k.owners[i-1], k.owners[i]; a.id == b.id {
			m := rewriteKeys
			if a.stream != b.stream {
				m = refuse
			}
			f := finding(m, 12, "data key %d stands in keys more than once", a.id)
			f.Stream, f.Number = b.stream, int64(b.id) //nolint:gosec // tells findings apart
			l.found(f)
		}
	}
	return k, nil
}

// keysMissing reports it once when there is no file of keys and segments need one.
func (c *check) keysMissing(l *look) bool {
	if !isMissing(filepath.Join(c.Dir, keysFile)) {
		return false
	}
	lost := int64(0)
	for _, r := range c.rows {
		if r.Version != 1 {
			lost += r.live
		}
	}
	if lost > 0 {
		l.found(finding(refuse, 12, "keys is missing: %d fragments cannot be read without the data keys in it; put it back from a backup (--repair --keys FILE)", lost).losing(lost))
	}
	return lost > 0
}

// belongs says whether a key is there, and where it stands if it is the stream's, else 0.
func (k *keys) belongs(id uint64, stream kvs.StreamID) (there bool, at int64) {
	i := sort.Search(len(k.owners), func(i int) bool { return k.owners[i].id >= id })
	for ; i < len(k.owners) && k.owners[i].id == id; i++ {
		there = true
		if k.owners[i].stream == stream {
			return true, k.owners[i].at
		}
	}
	return there, 0
}

// errKey says that a data key is not where it was.
var errKey = errors.New("it is not in keys")

// maxUnwrapped bounds how many data keys are remembered.
const maxUnwrapped = 1024

// unwrap returns a data key of a stream.
func (c *check) unwrap(ctx context.Context, stream kvs.StreamID, id uint64) (segment.DataKey, error) {
	if k, ok := c.unwrapped[id]; ok {
		return k, nil
	}
	_, at := c.keys.belongs(id, stream)
	f, err := os.Open(filepath.Join(c.Dir, keysFile))
	if err != nil {
		return segment.DataKey{}, err
	}
	defer f.Close() // only read from
	b := make([]byte, keyring.Format.Size-4)
	if _, err := f.ReadAt(b, at); err != nil {
		return segment.DataKey{}, err
	}
	e, ok := keyring.ParseEntry(b)
	if !ok || e.ID != id || e.Stream != stream || at == 0 {
		return segment.DataKey{}, errKey
	}
	k := segment.DataKey{ID: id}
	if k.Secret, err = c.Unwrap(ctx, stream, e.Wrapped); err != nil {
		return segment.DataKey{}, err
	}
	if len(c.unwrapped) >= maxUnwrapped {
		clear(c.unwrapped)
	}
	c.unwrapped[id] = k
	return k, nil
}

// tombstones say what is dead in which segment.
type tombstones struct {
	spans map[grave][]span // by first
}

type grave struct {
	segment int64
	stream  kvs.StreamID
}

// span is a range of counters, both ends included.
type span struct {
	first, last int64
	done        bool // the rows are removed, says the index
}

// readTombstones reads them behind the position that the index says it has reached: what
// stands there later may have rows still.
func (c *check) readTombstones(ctx context.Context, l *look) (*tombstones, error) {
	var salt uint64
	var reached int64
	err := c.index.at(ctx, func(v view) (err error) {
		salt, reached, err = v.position(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	t := &tombstones{spans: map[grave][]span{}}
	found, err := c.readJournal(l, tombstoneFile, tombstoneFormat, func(at int64, b []byte) {
		g := grave{int64(binary.LittleEndian.Uint64(b)), kvs.StreamID(binary.LittleEndian.Uint64(b[8:]))}
		t.add(g, span{int64(binary.LittleEndian.Uint64(b[16:])), int64(binary.LittleEndian.Uint64(b[24:])), at < reached})
	})
	switch path := filepath.Join(c.Dir, tombstoneFile); {
	case err != nil || salt == 0:
	case isMissing(path):
		l.found(finding(start, 15, "tombstones is missing: what it says is removed would be back if the index were made again; a start makes it, and carries out the erasures once more"))
	case found == salt && shorter(path, reached):
		l.found(finding(start, 15, "tombstones is shorter than the index knows it: what it said behind is lost"))
	}
	if found != salt { // written anew since
		for _, spans := range t.spans {
			for i := range spans {
				spans[i].done = false
			}
		}
	}
	for g := range t.spans {
		slices.SortFunc(t.spans[g], func(a, b span) int { return cmp.Compare(a.first, b.first) })
	}
	return t, err
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func shorter(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() < size
}

// add keeps a span; one that goes on where the last one ended takes no more memory.
func (t *tombstones) add(g grave, s span) {
	all := t.spans[g]
	if n := len(all); n > 0 && all[n-1].done == s.done && all[n-1].last+1 == s.first {
		all[n-1].last = s.last
		return
	}
	t.spans[g] = append(all, s)
}

// name says whether a tombstone names a fragment in a segment, and whether its row should
// be gone by now.
func (t *tombstones) name(segment int64, id fragmentID) (named, done bool) {
	for _, s := range t.spans[grave{segment, id.stream}] {
		if s.first > id.n {
			break
		}
		if id.n <= s.last {
			named, done = true, done || s.done
		}
	}
	return named, done
}
