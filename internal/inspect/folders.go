package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// segmentsDir is where segments lie in the archive's folder and in the warm one.
const segmentsDir = "segments"

// roots are the folders that hold segments, the archive's first.
func (c *check) roots() []string {
	roots := []string{filepath.Join(c.Dir, segmentsDir)}
	if c.Warm != "" {
		roots = append(roots, filepath.Join(c.Warm, segmentsDir))
	}
	return roots
}

// list finds the files of segments by their ids.
func (c *check) list() (map[int64][]string, error) {
	files := map[int64][]string{}
	for _, root := range c.roots() {
		entries, err := os.ReadDir(root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if id, ok := segment.ParseFileName(e.Name()); ok {
				files[id] = append(files[id], filepath.Join(root, e.Name()))
			}
		}
	}
	return files, nil
}

// strangers are names in the folders that are no segments.
func (c *check) strangers() (names []string) {
	for _, root := range c.roots() {
		entries, _ := os.ReadDir(root) // was read before
		for _, e := range entries {
			if _, ok := segment.ParseFileName(e.Name()); !ok && !strings.HasPrefix(e.Name(), ".") {
				names = append(names, filepath.Join(root, e.Name()))
			}
		}
	}
	return names
}

// folders compares the files with the rows of segments.
func (c *check) folders(ctx context.Context) error {
	if err := c.settle(ctx, c.compareFolders); err != nil {
		return err
	}
	for _, name := range c.strangers() {
		c.note(fmt.Sprintf("%s is no segment and left alone", name))
	}
	for id := range c.files {
		if r, ok := c.rows[id]; ok {
			c.state.Total += r.length
		}
	}
	return nil
}

func (c *check) compareFolders(ctx context.Context, l *look) (err error) {
	if c.rows, err = c.index.segments(ctx); err != nil {
		return err
	}
	if c.files, err = c.list(); err != nil {
		return err
	}
	for id, paths := range c.files {
		if err := c.compareFile(id, paths, l); err != nil {
			return err
		}
	}
	missing, err := c.ofMissing(ctx)
	if err != nil {
		return err
	}
	open := map[[2]uint8][]int64{}
	for _, id := range slices.Sorted(maps.Keys(c.rows)) {
		r := c.rows[id]
		if len(c.files[id]) == 0 && r.live > 0 {
			l.found(finding(forget, 14, "the file of segment %s is missing%s", segment.FileName(id), c.inWords(ctx, missing[id])).on(id).losing(r.live))
		}
		if place := [2]uint8{uint8(r.Class), uint8(r.Tier)}; !r.sealed {
			open[place] = append(open[place], id)
		}
	}
	for place, ids := range open {
		if len(ids) > 1 {
			l.found(finding(start, 9, "%d segments of class %d and tier %d are open: %s", len(ids), place[0], place[1], names(ids)).on(ids[0]))
		}
	}
	return nil
}

// part is what a segment has of one stream.
type part struct {
	stream      kvs.StreamID
	fragments   int64
	first, last kvs.Millis // server timestamps
}

// ofMissing returns what the index has of segments without a file.
func (c *check) ofMissing(ctx context.Context) (map[int64][]part, error) {
	if !slices.ContainsFunc(slices.Collect(maps.Values(c.rows)), func(r segmentRow) bool { return r.live > 0 && len(c.files[r.ID]) == 0 }) {
		return nil, nil
	}
	missing := map[int64][]part{}
	return missing, c.index.at(ctx, func(v view) error {
		rows, err := v.tx.QueryContext(ctx, `SELECT segment, stream, COUNT(*), MIN(server), MAX(server) FROM fragments GROUP BY segment, stream`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var p part
			if err := rows.Scan(&id, &p.stream, &p.fragments, &p.first, &p.last); err != nil {
				return err
			}
			if len(c.files[id]) == 0 {
				missing[id] = append(missing[id], p)
			}
		}
		return rows.Err()
	})
}

// maxParts is how many streams are named one by one.
const maxParts = 10

// inWords says what is lost with a segment.
func (c *check) inWords(ctx context.Context, parts []part) (text string) {
	for i, p := range parts {
		if i == maxParts {
			text += fmt.Sprintf(", and fragments of %d more streams", len(parts)-i)
			break
		}
		text += fmt.Sprintf("%s %d fragments of %s from %s to %s", []string{":", ","}[min(i, 1)], p.fragments, c.nameOf(ctx, p.stream), clock(p.first), clock(p.last))
	}
	if text != "" {
		text += "; they are lost unless it is put back"
	}
	return text
}

// clock writes a server timestamp as the commands take it.
func clock(ms kvs.Millis) string { return ms.Time().UTC().Format("2006-01-02T15:04:05.000Z") }

// nameOf is what operators call a stream.
func (c *check) nameOf(ctx context.Context, id kvs.StreamID) string {
	if c.Names == nil {
		return fmt.Sprintf("stream %d", id)
	}
	if c.names == nil {
		c.names, _ = c.Names(ctx) // without it numbers have to do
	}
	if name := c.names[id]; name != "" {
		return name
	}
	return fmt.Sprintf("stream %d", id)
}

// compareFile compares what lies under one id with its row.
func (c *check) compareFile(id int64, paths []string, l *look) error {
	r, known := c.rows[id]
	if len(paths) > 1 {
		l.found(finding(oneFolder, 14, "segment %s is in both folders", segment.FileName(id)).on(id))
		return nil
	}
	warm := filepath.Dir(paths[0]) != filepath.Join(c.Dir, segmentsDir)
	switch {
	case known && !warm && c.Unmoved: // restored
	case known && warm != r.warm:
		l.found(finding(start, 14, "%s lies in the other folder than its row says", paths[0]).on(id))
	case !known:
		return c.unknown(id, paths[0], l)
	}
	return nil
}

// unknown looks at a file without a row. A head alone is a segment that is being made.
func (c *check) unknown(id int64, path string, l *look) error {
	f, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unread(l, err, id, 0)
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil || info.Size() <= segment.HeadSize {
		return unread(l, err, id, 0)
	}
	h, err := segment.ReadHead(f)
	switch {
	case unreadable(err):
		l.found(finding(refuse, 1, "the head of %s is damaged, and it has no row", path).on(id))
	case err != nil:
		return unread(l, err, id, 0)
	case h.ID != id:
		c.misnamed(l, h, id, path)
	default:
		l.found(finding(start, 14, "%s has no row", path).on(id))
	}
	return nil
}

func names(ids []int64) string {
	var all []string
	for _, id := range ids {
		all = append(all, segment.FileName(id))
	}
	return strings.Join(all, ", ")
}
