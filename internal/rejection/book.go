package rejection

import (
	"cmp"
	"container/list"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Defaults of Options.
const (
	defaultEntries = 50
	defaultStreams = 1000
	defaultBytes   = 8 << 20
)

// Options bound a Book; zero fields give the defaults.
type Options struct {
	Entries int   // different ones per stream, default 50; the one that was quiet longest goes first
	Streams int   // default 1000; the one that was quiet longest goes first
	Bytes   int64 // of all refusals together, default 8 MiB; likewise

	Path   string       // of the file that [Book.Run] writes; "" = none
	Logger *slog.Logger // nil = silent
}

// Book remembers the latest refusals of each stream. Make it with [NewBook].
type Book struct {
	o Options

	mu      sync.Mutex
	streams map[kvs.StreamID]*list.Element // of *page
	order   *list.List                     // of *page, latest refusal first
	bytes   int64
	changed bool // since it was written
}

// page is what is remembered of one stream.
type page struct {
	stream  kvs.StreamID
	account kvs.AccountID
	name    string
	entries []*Entry // latest first
}

// NewBook makes an empty book. What an earlier run wrote is read by [Book.Load].
func NewBook(o Options) *Book {
	o.Entries = cmp.Or(o.Entries, defaultEntries)
	o.Streams = cmp.Or(o.Streams, defaultStreams)
	o.Bytes = cmp.Or(o.Bytes, defaultBytes)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return &Book{o: o, streams: map[kvs.StreamID]*list.Element{}, order: list.New()}
}

// Add remembers a refusal of a stream. It is quick: sessions wait for it.
func (b *Book) Add(s kvs.Stream, r Refusal) {
	r.cut()
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.open(&s)
	i := slices.IndexFunc(p.entries, func(e *Entry) bool { return e.Last.key() == r.key() })
	if i < 0 {
		p.entries = slices.Insert(p.entries, 0, &Entry{Count: 1, First: r, Last: r})
		b.bytes += 2 * r.size()
	} else {
		e := p.entries[i]
		b.bytes += r.size() - e.Last.size()
		e.Count, e.Last = e.Count+1, r
		copy(p.entries[1:], p.entries[:i])
		p.entries[0] = e
	}
	if len(p.entries) > b.o.Entries {
		b.dropLast(p)
	}
	b.changed = true
	b.bound()
}

// bound forgets the streams that were quiet longest while there is too much.
func (b *Book) bound() {
	for b.order.Len() > b.o.Streams || b.bytes > b.o.Bytes && b.order.Len() > 1 {
		b.forget(b.order.Back())
	}
}

// open returns the page of a stream, and makes it the latest.
func (b *Book) open(s *kvs.Stream) *page {
	e := b.streams[s.ID]
	if e == nil {
		e = b.order.PushFront(&page{stream: s.ID, account: s.Account, name: s.Name})
		b.streams[s.ID] = e
	}
	b.order.MoveToFront(e)
	return e.Value.(*page)
}

func (b *Book) dropLast(p *page) {
	last := len(p.entries) - 1
	b.bytes -= p.entries[last].size()
	p.entries[last] = nil
	p.entries = p.entries[:last]
}

func (e *Entry) size() int64 { return e.First.size() + e.Last.size() }

// forget removes a stream's page.
func (b *Book) forget(e *list.Element) {
	p := e.Value.(*page)
	for _, e := range p.entries {
		b.bytes -= e.size()
	}
	b.order.Remove(e)
	delete(b.streams, p.stream)
}

// Forget removes all of a stream, which was deleted.
func (b *Book) Forget(id kvs.StreamID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.streams[id]; e != nil {
		b.changed = true
		b.forget(e)
	}
}

// List returns what is remembered of a stream and happened again at or after since,
// latest first.
func (b *Book) List(id kvs.StreamID, since time.Time) []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.streams[id]
	if e == nil {
		return nil
	}
	var all []Entry
	for _, e := range e.Value.(*page).entries {
		if !e.Last.Time.Before(since) {
			all = append(all, *e)
		}
	}
	return all
}

// Recent returns the account's streams that had a refusal at or after since, the latest
// refusal first.
func (b *Book) Recent(account kvs.AccountID, since time.Time) []Recent {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Recent
	for e := b.order.Front(); e != nil; e = e.Next() {
		p := e.Value.(*page)
		if p.account != account || p.entries[0].Last.Time.Before(since) {
			continue
		}
		r := Recent{StreamName: p.name, Last: p.entries[0].Last}
		for _, e := range p.entries {
			r.Count += e.Count
		}
		all = append(all, r)
	}
	return all
}
