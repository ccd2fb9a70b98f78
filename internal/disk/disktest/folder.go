package disktest

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// folder holds names.
type folder struct {
	now     map[string]entry
	durable map[string]entry
	log     []change // from durable to now
}

// entry is what a name stands for: one of the two.
type entry struct {
	file   *inode
	folder *folder
}

// change is a step in the life of a folder: from loses its name, to gets it.
type change struct {
	from, to string
	what     entry
}

func newFolder() *folder {
	return &folder{now: make(map[string]entry), durable: make(map[string]entry)}
}

func (c change) apply(names map[string]entry) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.what
	}
}

func (d *folder) do(c change) {
	c.apply(d.now)
	d.log = append(d.log, c)
}

func (d *folder) sync() {
	d.durable = maps.Clone(d.now)
	d.log = nil
}

func (d *folder) allocated() (bytes int64) {
	for _, e := range d.now {
		if e.folder != nil {
			bytes += e.folder.allocated()
		} else {
			bytes += e.file.allocated()
		}
	}
	return bytes
}

func (d *folder) export(dir string) error {
	for name, e := range d.now {
		path := filepath.Join(dir, name)
		if e.folder == nil {
			if err := e.file.export(path); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
		if err := e.folder.export(path); err != nil {
			return err
		}
	}
	return nil
}

// manner is how a power failure treats what was not synced.
type manner int

const (
	nothingSurvives manner = iota
	allSurvives
	dataAlone  // files lose nothing, folders do
	namesAlone // folders lose nothing, files do
	orderly    // folders keep the first changes, files a random part
	atRandom
	manners
)

// chance decides about one power failure.
type chance struct {
	*rand.Rand
	manner manner
	files  map[*inode]*inode // after the failure; a file may have two names
	stale  []page            // what a page that was never written may hold
}

// collect gathers what is on the disk now, in a fixed order.
func (d *folder) collect(r *chance) {
	for _, name := range slices.Sorted(maps.Keys(d.now)) {
		e := d.now[name]
		if e.folder != nil {
			e.folder.collect(r)
			continue
		}
		for _, p := range e.file.durable {
			if p != nil && len(r.stale) < 256 {
				r.stale = append(r.stale, p)
			}
		}
	}
}

// crash returns the folder as it may be found.
func (d *folder) crash(r *chance) *folder {
	names := maps.Clone(d.durable)
	first := r.IntN(len(d.log) + 1)
	for i, c := range d.log {
		keep := false
		switch r.manner {
		case allSurvives, namesAlone:
			keep = true
		case orderly:
			keep = i < first
		case dataAlone, atRandom:
			keep = r.IntN(2) == 0
		}
		if keep {
			c.apply(names)
		}
	}
	found := newFolder()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		e := names[name]
		if e.folder != nil {
			e.folder = e.folder.crash(r)
		} else {
			e.file = e.file.crash(r)
		}
		found.now[name] = e
	}
	found.sync()
	return found
}

// crash returns the file as it may be found, all of it durable.
func (f *inode) crash(r *chance) *inode {
	if made := r.files[f]; made != nil {
		return made
	}
	made := &inode{size: f.size, pages: slices.Clone(f.durable)}
	r.files[f] = made
	if len(f.sizes) > 0 {
		made.size = f.sizes[0]
	}
	switch r.manner {
	case nothingSurvives:
	case allSurvives, dataAlone:
		made.size, made.pages = f.size, slices.Clone(f.pages)
		for i := range f.lost {
			f.choose(r, made, i)
		}
	default:
		if n := r.IntN(len(f.sizes) + 1); n < len(f.sizes) {
			made.size = f.sizes[n]
		} else {
			made.size = f.size
		}
		for _, i := range slices.Sorted(maps.Keys(f.past)) {
			f.choose(r, made, i)
		}
	}
	// No page is left behind the end, and none shows bytes there when the file grows.
	made.truncateHard()
	made.durable = slices.Clone(made.pages)
	return made
}

// choose decides what a page that was not synced is found to be.
func (f *inode) choose(r *chance, made *inode, i int64) {
	versions := append(slices.Clone(f.past[i]), f.page(i))
	n, k := r.IntN(len(versions)), r.IntN(len(versions))
	p := versions[n]
	switch r.IntN(4) {
	case 0: // as it was synced
		p = nil
		if i < int64(len(f.durable)) {
			p = f.durable[i]
		}
		if p == nil && len(r.stale) > 0 && r.IntN(4) == 0 {
			p = r.stale[r.IntN(len(r.stale))]
		}
	case 1:
		if versions[max(n, k)] != nil { // what is written can tear; a hole is there or not
			p = tear(r, p, versions[k])
		}
	}
	for int64(len(made.pages)) <= i {
		made.pages = append(made.pages, nil)
	}
	made.pages[i] = p
}

// tear takes each sector from one of two pages.
func tear(r *chance, a, b page) page {
	torn := new([pageSize]byte)
	for s := 0; s < pageSize; s += sectorSize {
		from := a
		if r.IntN(2) == 0 {
			from = b
		}
		if from != nil {
			copy(torn[s:s+sectorSize], from[s:])
		}
	}
	return torn
}

// truncateHard drops what lies behind the end without remembering it.
func (f *inode) truncateHard() {
	f.truncate(f.size)
	whole := (f.size + pageSize - 1) / pageSize
	if int64(len(f.pages)) > whole {
		f.pages = f.pages[:whole]
	}
	if rest := f.size % pageSize; rest != 0 && f.page(whole-1) != nil {
		p := *f.pages[whole-1]
		clear(p[rest:])
		f.pages[whole-1] = &p
	}
	f.past, f.sizes = nil, nil
}
