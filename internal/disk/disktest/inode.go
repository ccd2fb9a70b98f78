package disktest

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/disk"
)

const (
	pageSize   = disk.PageBytes
	sectorSize = 512
)

// page is never changed once it is in a file, so that clones share it. nil is a hole.
type page *[pageSize]byte

// inode is a file without its name.
type inode struct {
	size    int64
	pages   []page
	durable []page // as of the last sync; may be shorter or longer
	// past holds, of each page that is not as it was synced, what it was in between.
	past  map[int64][]page
	sizes []int64 // since the last sync, that one first
	// lost pages were not written by a sync that failed, and no later one will.
	lost map[int64]bool
}

func (f *inode) page(i int64) page {
	if i < int64(len(f.pages)) {
		return f.pages[i]
	}
	return nil
}

// set gives a page another content, remembering the one before.
func (f *inode) set(i int64, p page) {
	if f.past == nil {
		f.past = make(map[int64][]page)
	}
	f.past[i] = append(f.past[i], f.page(i))
	delete(f.lost, i)
	for int64(len(f.pages)) <= i {
		f.pages = append(f.pages, nil)
	}
	f.pages[i] = p
}

func (f *inode) resize(size int64) {
	if size != f.size {
		f.sizes = append(f.sizes, f.size)
		f.size = size
	}
}

func (f *inode) read(b []byte, off int64) (n int) {
	if off >= f.size {
		return 0
	}
	b = b[:min(int64(len(b)), f.size-off)]
	for n < len(b) {
		at := off + int64(n)
		from := at % pageSize
		chunk := b[n:min(int64(len(b)), int64(n)+pageSize-from)]
		if p := f.page(at / pageSize); p != nil {
			copy(chunk, p[from:])
		} else {
			clear(chunk)
		}
		n += len(chunk)
	}
	return n
}

func (f *inode) write(pieces [][]byte, off int64) {
	var p page
	open := int64(-1) // the page that p will be
	for _, b := range pieces {
		for len(b) > 0 {
			i, from := off/pageSize, off%pageSize
			if i != open {
				if p != nil {
					f.set(open, p)
				}
				p, open = new([pageSize]byte), i
				if old := f.page(i); old != nil {
					*p = *old
				}
			}
			n := copy(p[from:], b)
			b, off = b[n:], off+int64(n)
		}
	}
	if p != nil {
		f.set(open, p)
	}
	f.resize(max(f.size, off))
}

func (f *inode) truncate(size int64) {
	whole := (size + pageSize - 1) / pageSize
	if size < f.size {
		for i := whole; i < int64(len(f.pages)); i++ {
			if f.pages[i] != nil {
				f.set(i, nil)
			}
		}
		if rest := size % pageSize; rest != 0 && f.page(whole-1) != nil {
			p := *f.pages[whole-1]
			clear(p[rest:])
			f.set(whole-1, &p)
		}
	}
	f.resize(size)
}

func (f *inode) punch(off, n int64) {
	for i := (off + pageSize - 1) / pageSize; (i+1)*pageSize <= off+n; i++ {
		if f.page(i) != nil {
			f.set(i, nil)
		}
	}
}

// holes returns the stretches without pages.
func (f *inode) holes() (all disk.Holes) {
	for i := int64(0); i*pageSize < f.size; i++ {
		from, to := i*pageSize, min((i+1)*pageSize, f.size)
		switch k := len(all) - 1; {
		case f.page(i) != nil:
		case k >= 0 && all[k].To == from:
			all[k].To = to
		default:
			all = append(all, disk.Hole{From: from, To: to})
		}
	}
	return all
}

// sync makes durable what the file is, except for what was lost.
func (f *inode) sync() {
	durable := append([]page(nil), f.pages...)
	for i := range f.lost {
		durable[i] = nil
		if i < int64(len(f.durable)) {
			durable[i] = f.durable[i]
		}
	}
	f.durable = durable
	for i := range f.past {
		if !f.lost[i] {
			delete(f.past, i)
		}
	}
	f.sizes = nil
}

// lose is a sync that failed: the system takes the pages for clean now.
func (f *inode) lose() {
	if f.lost == nil {
		f.lost = make(map[int64]bool)
	}
	for i := range f.past {
		if f.page(i) != nil { // holes and cuts are not pages to write
			f.lost[i] = true
		}
	}
}

func (f *inode) allocated() (bytes int64) {
	for _, p := range f.pages {
		if p != nil {
			bytes += pageSize
		}
	}
	return bytes
}

func (f *inode) export(path string) error {
	to, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for i, p := range f.pages {
		at := int64(i) * pageSize
		if p == nil || at >= f.size {
			continue
		}
		if _, err := to.WriteAt(p[:min(pageSize, f.size-at)], at); err != nil {
			return errors.Join(err, to.Close())
		}
	}
	return errors.Join(to.Truncate(f.size), to.Close())
}
