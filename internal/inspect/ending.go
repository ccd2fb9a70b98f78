package inspect

import (
	"sort"

	"github.com/millrace/millrace/internal/segment"
)

// ending checks what a segment is as a whole, once its records were read: where it ends,
// what its footer lists, its gaps and its sums.
func (s *inspection) ending() error {
	if s.size < s.row.length {
		s.look.found(finding(refuse, 2, "%s has %d bytes, its row says %d", s.name, s.size, s.row.length).on(s.row.ID))
	}
	if !s.row.sealed {
		s.openGaps()
		s.openHoles()
		s.compareTotal(s.total, len(s.gaps) == 0)
		return nil
	}
	if s.size > s.row.length {
		s.unsealed("has bytes behind its end record")
		return nil
	}
	if s.head.Version == 1 {
		// A start that seals one writes nothing to it.
		s.compareTotal(s.total, len(s.gaps) == 0)
		return nil
	}
	return s.footer()
}

// openGaps: what is below the length of a segment that grows was written by one process
// that knows of no failure.
func (s *inspection) openGaps() {
	for _, g := range s.gaps {
		s.look.found(finding(refuse, 2, "no record begins between bytes %d and %d of %s", g.from, g.to, s.name).on(s.row.ID))
	}
}

func (s *inspection) openHoles() {
	if s.touched(0, min(s.size, s.row.length)) {
		s.look.found(finding(refuse, 11, "%s has a hole and is not sealed", s.name).on(s.row.ID))
	}
}

// footer compares the footer of a sealed segment with its records.
func (s *inspection) footer() error {
	marks := s.marks
	total := int64(0)
	var wrong string
	ok, err := segment.ReadFooter(s.f, s.head, s.row.length, func(at int64, rec *segment.Record) error {
		total += rec.Size()
		for len(marks) > 0 && marks[0].position < at {
			wrong, marks = "does not list all fragment records before it", marks[1:]
		}
		switch {
		case len(marks) == 0 || marks[0].position > at:
			s.listed(at, rec)
		case marks[0].sum != s.sum(at, rec):
			wrong = "does not say what the records say"
			fallthrough
		default:
			marks = marks[1:]
		}
		return nil
	})
	switch {
	case err != nil && !isShort(err):
		return err
	case !ok && s.touched(s.scanner.Good, s.row.length):
		s.look.found(finding(s.mendEnd(), 11, "a hole touches the footer or the end record of %s", s.name).on(s.row.ID))
	case !ok:
		s.unsealed("does not end in an intact footer and an end record")
	case len(marks) > 0 || wrong != "":
		if wrong == "" {
			wrong = "does not list all fragment records before it"
		}
		s.unsealed("has a footer that " + wrong)
	}
	s.compareTotal(total, ok)
	return nil
}

// listed is called for a record that the footer lists and the scan did not find. Where
// there is a hole it was dead; a live one is reported as a row without a record.
func (s *inspection) listed(at int64, rec *segment.Record) {
	i := sort.Search(len(s.gaps), func(i int) bool { return s.gaps[i].to > at })
	if i < len(s.gaps) && s.gaps[i].from <= at && s.gaps[i].hole {
		return
	}
	s.look.found(finding(refuse, 2, "the record at byte %d of %s, of fragment %d of stream %d, is damaged", at, s.name,
		rec.Fragment.Number.N, rec.Fragment.Stream).on(s.row.ID).of(fragmentID{rec.Fragment.Stream, rec.Fragment.Number.N}))
}

func (s *inspection) unsealed(what string) {
	s.look.found(finding(s.mendEnd(), 8, "%s %s", s.name, what).on(s.row.ID))
}

// mendEnd says whether the end of the segment can be written again: only if nothing that
// lives is in what must be cut.
func (s *inspection) mendEnd() mend {
	if s.matched < s.row.live {
		return refuse
	}
	return cutEnd
}

func (s *inspection) compareTotal(total int64, known bool) {
	if known && total != s.row.total {
		s.look.found(finding(rebuild, 7, "the row of segment %d says that its fragment records have %d bytes; they have %d",
			s.row.ID, s.row.total, total).on(s.row.ID))
	}
}
