package rejection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// saveEvery is how often a book that changed is written: what a crash may cost.
const saveEvery = 10 * time.Second

// line is the page of a stream as the file has it, one a line, the latest first.
type line struct {
	Stream  kvs.StreamID
	Account kvs.AccountID
	Name    string
	Entries []Entry
}

// Run writes the book to its file now and then, when it changed, and once more when ctx
// ends. Nobody who adds to the book waits for it; what could not be written is told and
// tried again.
func (b *Book) Run(ctx context.Context) error {
	if b.o.Path == "" {
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			b.save()
			return nil
		}
		b.save()
	}
}

// save replaces the file, unless nothing changed since it was written.
func (b *Book) save() {
	lines := b.lines()
	if lines == nil {
		return
	}
	if err := replace(b.o.Path, lines); err != nil {
		b.mu.Lock()
		b.changed = true
		b.mu.Unlock()
		b.o.Logger.Warn("the report of rejections could not be written and will be missing after a restart", "error", err)
	}
}

// lines copies what is to be written; nil when nothing changed.
func (b *Book) lines() []line {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.changed {
		return nil
	}
	b.changed = false
	all := make([]line, 0, b.order.Len())
	for e := b.order.Front(); e != nil; e = e.Next() {
		p := e.Value.(*page)
		l := line{Stream: p.stream, Account: p.account, Name: p.name}
		for _, e := range p.entries {
			l.Entries = append(l.Entries, *e)
		}
		all = append(all, l)
	}
	return all
}

// replace writes a file under another name first, so that it is there whole or not at
// all. It is not synced: it is no loss that matters.
func replace(path string, lines []line) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for i := range lines {
		if err := e.Encode(&lines[i]); err != nil {
			return err
		}
	}
	next := path + ".new"
	if err := os.WriteFile(next, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// Load takes up what an earlier run wrote, of the streams that are still there. A file
// that is damaged is read as far as it goes, and told.
func (b *Book) Load(there func(kvs.StreamID) bool) error {
	f, err := os.Open(b.o.Path)
	if errors.Is(err, fs.ErrNotExist) || b.o.Path == "" {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var lines []line
	d := json.NewDecoder(io.LimitReader(f, 8*b.o.Bytes)) // JSON is wordy
	for {
		var l line
		if err = d.Decode(&l); err != nil {
			break
		}
		lines = append(lines, l)
	}
	if !errors.Is(err, io.EOF) {
		b.o.Logger.Warn("a part of the report of rejections was lost", "error", fmt.Errorf("%s: %w", b.o.Path, err))
	}
	b.enter(lines, there)
	return nil
}

// enter adds pages, the latest last, within the bounds.
func (b *Book) enter(lines []line, there func(kvs.StreamID) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	texts := map[string]string{}
	for _, l := range slices.Backward(lines) {
		if !there(l.Stream) || len(l.Entries) == 0 || b.streams[l.Stream] != nil {
			continue
		}
		p := b.open(&kvs.Stream{ID: l.Stream, Account: l.Account, Name: l.Name})
		for _, e := range l.Entries[:min(len(l.Entries), b.o.Entries)] {
			e.First.share(texts)
			e.Last.share(texts)
			p.entries = append(p.entries, &e)
			b.bytes += e.size()
		}
		b.bound()
	}
}

// share lets the texts that many refusals have be one in memory, as they were before they
// were written.
func (r *Refusal) share(texts map[string]string) {
	for _, s := range []*string{&r.Fix, &r.Case, &r.Error, &r.Limit} {
		if known, ok := texts[*s]; ok {
			*s = known
		} else {
			texts[*s] = *s
		}
	}
}
