// Package inspect checks an archive against the numbered invariants of
// docs/design/archive-format.md, and mends what can be mended without loss.
//
// It reads the files by the page's rules and the index by queries of its own, beside a
// running server as well: then only what is committed counts, and what is wrong must
// still be wrong at a second look. Memory does not grow with media or rows, only with
// the number of segments, keys and streams. [Scrubber] reads what is stored again and
// again in the background of a server.
package inspect

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// Options say what is checked, and how thoroughly. Only Dir is needed.
type Options struct {
	Dir  string // of the archive, as in [archive.Options]
	Warm string // the folder that holds the warm segments' folder; "" = there is none

	// Unmoved says that no server had a warm folder on this data directory yet. What its
	// index looks for there was restored into Dir, and a start takes it from there.
	Unmoved bool
	// Live says that a server works on the archive meanwhile.
	Live bool
	// Deep reads media, too, and compares them with their checksums.
	Deep bool

	// Streams returns the streams that exist, nil = all do. It is asked when
	// something of a stream is missing, beside a server more than once.
	Streams func(context.Context) (map[kvs.StreamID]bool, error)
	// Names returns what operators call the streams, nil = their numbers.
	Names func(context.Context) (map[kvs.StreamID]string, error)
	// Unwrap unwraps a data key of a stream; with it a deep check unseals what it reads.
	// nil = checksums alone are compared.
	Unwrap func(ctx context.Context, stream kvs.StreamID, wrapped []byte) ([32]byte, error)

	Found    func(Finding)  // called for each finding; nil = they are in the report only
	Progress func(Progress) // called often; nil = nobody looks

	pause time.Duration // before a second look; for tests, 0 = half a second
}

// Finding is one thing that is wrong.
type Finding struct {
	Invariant  int          `json:"invariant"`                 // its number on the page
	Segment    int64        `json:"segment,omitempty"`         // 0 = it is not about one
	Stream     kvs.StreamID `json:"stream,omitempty"`          // 0 = it is not about one
	Number     int64        `json:"number,omitempty"`          // counter of the fragment, if it is about one
	Text       string       `json:"text"`                      // what is wrong
	Name       string       `json:"stream_name,omitempty"`     // what operators call the stream
	Fragment   string       `json:"fragment_number,omitempty"` // as consumers have it, if it is about one that can be listed
	Time       string       `json:"time,omitempty"`            // its server timestamp
	Repairable bool         `json:"repairable"`                // without loss, see [Repair]
	Lost       int64        `json:"fragments,omitempty"`       // that cannot be read as a whole because of it

	mend mend
	last int64 // the greatest number of those it stands for
}

// Report is the result of a check.
type Report struct {
	Findings []Finding   `json:"findings"` // the first of them, see maxFindings
	Counts   map[int]int `json:"counts"`   // findings by invariant, all of them
	Notes    []string    `json:"notes"`    // what is no damage and yet worth knowing

	Segments  int   `json:"segments"`
	Fragments int64 `json:"fragments"` // rows that were compared with their records
	Bytes     int64 `json:"bytes"`     // of segments
	Read      int64 `json:"read"`      // bytes whose checksums were compared
	Unsealed  int64 `json:"unsealed"`  // fragments that were unsealed
	Deep      bool  `json:"deep"`
	Live      bool  `json:"live"`
}

// maxFindings is how many findings a report holds; the others are counted.
const maxFindings = 1000

// Clean says whether nothing is wrong.
func (r *Report) Clean() bool { return len(r.Counts) == 0 }

// Total is the number of findings.
func (r *Report) Total() (n int) {
	for _, k := range r.Counts {
		n += k
	}
	return n
}

// Progress is how far a check is.
type Progress struct {
	Done  int64 // bytes of segments
	Total int64
}

// check is one run of [Check].
type check struct {
	Options
	index  *index
	report *Report
	state  Progress

	rows       map[int64]segmentRow // as they were at the beginning
	files      map[int64][]string   // paths of each segment's files
	dead       *tombstones
	keys       *keys
	suspicious map[int64]bool // segments with rows that no record answers
	miscounted map[int64]bool // segments with another number of rows than they say
	explained  map[fragmentID]bool
	unwrapped  map[uint64]segment.DataKey
	exist      map[kvs.StreamID]bool // the streams, when they were asked for
	asked      time.Time
	names      map[kvs.StreamID]string
	locked     map[lock]int64 // data keys that could not be unwrapped, and the segment that showed it
}

// Check looks at a whole archive. Findings are in the report; an error says that it could
// not be looked at.
func Check(ctx context.Context, o Options) (_ *Report, err error) {
	c := &check{Options: o, suspicious: map[int64]bool{}, miscounted: map[int64]bool{}, explained: map[fragmentID]bool{}, unwrapped: map[uint64]segment.DataKey{}, locked: map[lock]int64{},
		report: &Report{Counts: map[int]int{}, Findings: []Finding{}, Notes: []string{}, Deep: o.Deep, Live: o.Live}}
	c.pause = cmp.Or(c.pause, 500*time.Millisecond)
	path := filepath.Join(o.Dir, indexFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return c.withoutIndex()
	}
	if c.index, err = openIndex(ctx, path); err != nil {
		if db.IsDamaged(err) {
			c.take(finding(damagedIndex, 6, "index.db is damaged; the media are not looked at without it: %v", err))
			return c.report, c.countFiles()
		}
		return nil, err
	}
	defer func() { err = errors.Join(err, c.index.close()) }()
	for _, part := range []func(context.Context) error{c.folders, c.journals, c.counts, c.segments, c.strays} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(c.report.Findings, func(a, b Finding) int { return cmp.Compare(a.Invariant, b.Invariant) })
	return c.report, nil
}

// withoutIndex says what is missing; a start makes it again.
func (c *check) withoutIndex() (*Report, error) {
	err := c.countFiles()
	if err == nil && c.report.Segments > 0 {
		c.take(finding(start, 14, "index.db is missing: %d segments have no row", c.report.Segments))
	}
	return c.report, err
}

// countFiles says how much there is where no index says it.
func (c *check) countFiles() error {
	files, err := c.list()
	for _, paths := range files {
		c.report.Segments++
		if info, err := os.Stat(paths[0]); err == nil {
			c.report.Bytes += info.Size()
		}
	}
	return err
}

// take puts a finding into the report.
func (c *check) take(f Finding) {
	c.report.Counts[f.Invariant]++
	if len(c.report.Findings) < maxFindings {
		c.report.Findings = append(c.report.Findings, f)
	}
	if c.Found != nil {
		c.Found(f)
	}
}

func (c *check) note(text string) { c.report.Notes = append(c.report.Notes, text) }

func (c *check) advance(bytes int64) {
	c.state.Done += bytes
	if c.Progress != nil {
		c.Progress(c.state)
	}
}
