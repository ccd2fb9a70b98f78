package inspect

import (
	"context"
	"fmt"
	"strconv"
	"strings"
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
	c.accept(ctx, l)
	return nil
}

// wait lets the server go on, then reads what it may have changed.
func (c *check) wait(ctx context.Context) error {
	if err := pause(ctx, c.pause); err != nil {
		return err
	}
	return c.readJournals(ctx, nil)
}

func (c *check) accept(ctx context.Context, l *look) {
	for _, f := range l.folded() {
		c.take(c.tell(ctx, f))
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

// maxAlike is how many findings of one kind, about one stream in one segment, are told one
// by one.
const maxAlike = 10

// folded returns the findings, of many that are alike one that stands for all.
func (l *look) folded() (all []Finding) {
	kind := func(f Finding) [4]int64 {
		return [4]int64{int64(f.Invariant), f.Segment, int64(f.Stream), int64(f.mend)}
	}
	groups := map[[4]int64][]Finding{}
	for _, f := range l.findings {
		if f.Number > 0 {
			groups[kind(f)] = append(groups[kind(f)], f)
		}
	}
	for _, f := range l.findings {
		g := groups[kind(f)]
		if f.Number <= 0 || len(g) <= maxAlike {
			all = append(all, f)
			continue
		}
		if f.Number != g[0].Number {
			continue
		}
		many := strconv.Itoa(len(g))
		if l.over[f.Invariant] > 0 { // they are of this kind, nearly always
			many = "more than " + many
			delete(l.over, f.Invariant)
		}
		f.Lost, f.last = 0, f.Number
		for _, alike := range g {
			f.Lost += alike.Lost
			f.last = max(f.last, alike.Number)
		}
		f.Text = fmt.Sprintf("%s fragments, the last of them fragment %d of stream %d, the first: %s", many, f.last, f.Stream, f.Text)
		all = append(all, f)
	}
	return all
}

// tell gives stream and fragment the names that operators know.
func (c *check) tell(ctx context.Context, f Finding) Finding {
	if f.Stream == 0 {
		return f
	}
	name := c.nameOf(ctx, f.Stream)
	if c.names[f.Stream] != "" {
		f.Name = name
	}
	f.Text = strings.ReplaceAll(f.Text, fmt.Sprintf("count of stream %d is", f.Stream), "count of "+name+" is")
	for _, n := range []int64{f.last, f.Number} {
		if n <= 0 || c.index == nil {
			continue
		}
		var row fragmentRow
		var ok bool
		err := c.index.at(ctx, func(v view) (err error) {
			row, ok, err = v.fragment(ctx, fragmentID{f.Stream, n})
			return err
		})
		if err != nil || !ok { // its number has to do
			continue
		}
		f.Fragment, f.Time = row.Fragment.Number.String(), clock(row.Fragment.Number.Server)
		f.Text = strings.ReplaceAll(f.Text, fmt.Sprintf("fragment %d of stream %d", n, f.Stream), fmt.Sprintf("fragment %s of %s (%s)", f.Fragment, name, f.Time))
	}
	return f
}
