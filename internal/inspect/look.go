package inspect

import (
	"context"
	"fmt"
)

// mend says how a finding is mended.
type mend int

const (
	refuse       mend = iota // it cannot be, without loss
	rebuild                  // the index is made again from the other files
	start                    // the next start of the server does it; repair makes one
	damagedIndex             // as rebuild
	cutEnd                   // footer and end record are cut; a start writes them again
	writeHead                // the segment's head is written again from its row
	rename                   // the file gets the name that its head says
	oneFolder                // the worse one of two files goes
	forget                   // a start forgets what is lost with it, and so does a repair that has more to mend
	rewriteKeys              // keys is written anew without what stands there twice
)

// finding makes a finding about no segment.
func finding(m mend, invariant int, format string, args ...any) Finding {
	return Finding{Invariant: invariant, Text: fmt.Sprintf(format, args...), Repairable: m != refuse && m != forget, mend: m}
}

// on makes it a finding about a segment.
func (f Finding) on(segment int64) Finding {
	f.Segment = segment
	return f
}

// of makes it a finding about a fragment.
func (f Finding) of(id fragmentID) Finding {
	f.Stream, f.Number = id.stream, id.n
	return f
}

// losing says how many fragments cannot be read because of it.
func (f Finding) losing(fragments int64) Finding {
	f.Lost = fragments
	return f
}

// look collects what one look at a part of the archive finds.
type look struct {
	findings []Finding
	again    map[place]bool // what the look before found; nil = this is the first
	seen     map[place]bool
	over     map[int]int // by invariant, findings beyond maxFindings

	notes     []string
	fragments int64
	bytes     int64
	read      int64
	unsealed  int64
}

// place is what a finding is about.
type place struct {
	invariant int
	segment   int64
	fragment  fragmentID
}

// found notes a finding, unless a look before did not have it, or this one had another
// of the same invariant about the same.
func (l *look) found(f Finding) {
	p := place{f.Invariant, f.Segment, fragmentID{f.Stream, f.Number}}
	if l.seen[p] || l.again != nil && !l.again[p] {
		return
	}
	if len(l.findings) >= maxFindings {
		l.over[f.Invariant]++
		return
	}
	l.seen[p] = true
	l.findings = append(l.findings, f)
}

// looks is how often a finding must be seen beside a running server.
const looks = 4

// settle looks at something and reports what it finds. Beside a running server a file may
// be changed between the moment its rows are read and the moment it is: what is found
// must be found again, with rows, keys and tombstones that are read anew.
func (c *check) settle(ctx context.Context, at func(context.Context, *look) error) error {
	var l *look
	for i := range looks {
		next := &look{seen: map[place]bool{}, over: map[int]int{}}
		if l != nil {
			next.again = l.seen
			if err := c.wait(ctx); err != nil {
				return err
			}
		}
		if err := at(ctx, next); err != nil {
			return err
		}
		l = next
		if !c.Live || len(l.findings) == 0 || i == looks-1 {
			break
		}
	}
	c.accept(l)
	return nil
}

// wait lets the server go on, then reads what it may have changed.
func (c *check) wait(ctx context.Context) error {
	if err := pause(ctx, c.pause); err != nil {
		return err
	}
	return c.readJournals(ctx, nil)
}

func (c *check) accept(l *look) {
	for _, f := range l.findings {
		c.take(f)
	}
	for invariant, n := range l.over {
		c.report.Counts[invariant] += n
	}
	for _, text := range l.notes {
		c.note(text)
	}
	c.report.Fragments += l.fragments
	c.report.Bytes += l.bytes
	c.report.Read += l.read
	c.report.Unsealed += l.unsealed
}
