package tally

import (
	"container/list"

	"github.com/millrace/millrace/internal/kvs"
)

// Book remembers the streams that were used last.
type Book struct {
	max     int
	streams map[kvs.StreamID]*list.Element
	order   list.List // of *entry, last used first
}

type entry struct {
	id kvs.StreamID
	s  *Stream
}

// NewBook makes a book of at most max streams. It is more than a batch can have: a stream
// must not be forgotten between placing and storing.
func NewBook(max int) *Book {
	return &Book{max: max, streams: make(map[kvs.StreamID]*list.Element)}
}

// Get returns what is known of a stream; nil says that it must be read again.
func (b *Book) Get(id kvs.StreamID) *Stream {
	e := b.streams[id]
	if e == nil {
		return nil
	}
	b.order.MoveToFront(e)
	return e.Value.(*entry).s
}

// Put remembers a stream and forgets the one that was not used for longest.
func (b *Book) Put(id kvs.StreamID, s *Stream) {
	if b.order.Len() >= b.max {
		last := b.order.Back()
		delete(b.streams, last.Value.(*entry).id)
		b.order.Remove(last)
	}
	b.streams[id] = b.order.PushFront(&entry{id, s})
}

// Settle says whether what was placed of a stream is stored now, or lost.
func (b *Book) Settle(id kvs.StreamID, stored bool) {
	e := b.streams[id]
	switch {
	case e == nil:
	case stored:
		e.Value.(*entry).s.Stored()
	default:
		e.Value.(*entry).s.Lost()
	}
}

// Forget drops a stream, as if it had not been used.
func (b *Book) Forget(id kvs.StreamID) {
	if e := b.streams[id]; e != nil {
		delete(b.streams, id)
		b.order.Remove(e)
	}
}
