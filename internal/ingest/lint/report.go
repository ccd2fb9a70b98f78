package lint

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/rejection"
)

// Warning is the scope of what is legal and unwise.
const Warning rejection.Scope = "WARNING"

// Report is what was found in media.
type Report struct {
	Bytes int64 // read
	Cut   bool  // a server would end the session there; the rest was not looked at

	Format string `json:",omitempty"` // what the input is when it is not Matroska, if known
	Hint   string `json:",omitempty"` // what to do then

	MuxingApp     string `json:",omitempty"`
	WritingApp    string `json:",omitempty"`
	TimecodeScale uint64 `json:",omitempty"` // nanoseconds of one unit
	FirstTimecode int64  // of the first cluster, -1 without one

	Tracks    []Track
	Fragments Fragments

	Refused  int64 // what a server would answer with ERROR
	Refusals []rejection.Entry
	Warned   int64
	Warnings []rejection.Entry
}

// Track is one track of the header.
type Track struct {
	Number       uint64
	Type         string
	Codec        string
	Private      string  // the codec's private data: "none", "valid", or what is wrong with it
	Width        uint64  `json:",omitempty"`
	Height       uint64  `json:",omitempty"`
	Rate         float64 `json:",omitempty"` // frames a second as the header says it
	Sampling     float64 `json:",omitempty"` // hertz
	Channels     uint64  `json:",omitempty"`
	Frames       int64   // blocks
	KeyFrames    int64   `json:",omitempty"` // video
	LargestFrame int64   // bytes
}

// Fragments sums up the clusters.
type Fragments struct {
	Count       int64 // clusters
	Kept        int64 // that a server would keep
	UnknownSize int64 // whose head gives no size, so that their frames leave at once
	Duration    Span  // milliseconds, of those kept
	Size        Span  // bytes, of those kept
}

// Span is a least, a mean and a greatest value.
type Span struct {
	Least, Mean, Greatest int64

	sum, n int64
}

func (s *Span) add(v int64) {
	if s.n == 0 {
		s.Least = v
	}
	s.Least, s.Greatest = min(s.Least, v), max(s.Greatest, v)
	s.sum, s.n = s.sum+v, s.n+1
}

func (f *Fragments) average() {
	for _, s := range []*Span{&f.Duration, &f.Size} {
		s.Mean = s.sum / max(s.n, 1)
	}
}

// folder keeps what was found, folded and bounded as a server does it.
type folder struct{ book *rejection.Book }

// everything is the stream under which a folder keeps its page.
var everything = kvs.Stream{ID: 1}

func (f *folder) add(r rejection.Refusal) {
	if f.book == nil {
		f.book = rejection.NewBook(rejection.Options{})
	}
	f.book.Add(everything, r)
}

// entries are in the order of the media.
func (f *folder) entries() []rejection.Entry {
	if f.book == nil {
		return []rejection.Entry{}
	}
	all := f.book.List(everything.ID, time.Time{})
	slices.SortStableFunc(all, func(a, b rejection.Entry) int { return cmp.Compare(a.First.Offset, b.First.Offset) })
	return all
}
