package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/segment"
)

// poolDir holds the segments of all backups in a repository.
const poolDir = "segments"

// pooled is the beginning of a segment that lies in the pool. What it holds is in its
// name, so that neither a list nor a second reading is needed to go on after an
// interruption, and a damaged file is found by reading it alone.
type pooled struct {
	id     int64
	salt   uint64
	size   int64
	sha256 string
}

// part tells the beginnings of segments apart: bytes below size never change.
type part struct {
	id   int64
	salt uint64
	size int64
}

func (p pooled) part() part { return part{p.id, p.salt, p.size} }

// file is the name in the pool.
func (p pooled) file() string {
	return fmt.Sprintf("%s-%016x-%d-%s.seg", strings.TrimSuffix(segment.FileName(p.id), ".seg"), p.salt, p.size, p.sha256)
}

// segment is how a manifest has it.
func (p pooled) segment() Segment {
	return Segment{Name: segment.FileName(p.id), File: p.file(), Size: p.size, SHA256: p.sha256}
}

var pooledName = regexp.MustCompile(`^([0-9]{12,})-([0-9a-f]{16})-([0-9]+)-([0-9a-f]{64})\.seg$`)

// parsePooled reads a name made by file.
func parsePooled(name string) (p pooled, ok bool) {
	m := pooledName.FindStringSubmatch(name)
	if m == nil {
		return p, false
	}
	id, ok := segment.ParseFileName(m[1] + ".seg")
	salt, err := strconv.ParseUint(m[2], 16, 64)
	size, err2 := strconv.ParseInt(m[3], 10, 64)
	p = pooled{id: id, salt: salt, size: size, sha256: m[4]}
	return p, ok && err == nil && err2 == nil && p.file() == name
}

// isSegment says whether an entry of a manifest can be one.
func isSegment(s Segment) bool {
	p, ok := parsePooled(s.File)
	return ok && p.segment() == s
}

// readPool lists the pool. A file whose length is not that of its name is none of it and
// will be written again.
func readPool(dir string) (map[part]pooled, error) {
	entries, err := os.ReadDir(filepath.Join(dir, poolDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	pool := make(map[part]pooled, len(entries))
	for _, e := range entries {
		p, ok := parsePooled(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if info.Size() == p.size {
			pool[p.part()] = p
		}
	}
	return pool, nil
}

// digestText is how digests are written.
func digestText(sum []byte) string { return hex.EncodeToString(sum) }
