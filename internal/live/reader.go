package live

// Reader is woken when something changed on a stream.
type Reader struct {
	st *Stream
	c  chan struct{}
}

// Subscribe returns a reader that must be closed in the end.
func (st *Stream) Subscribe() *Reader {
	r := &Reader{st: st, c: make(chan struct{}, 1)}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.readers = append(st.readers, r)
	return r
}

// Wake delivers a value after a fragment began, grew, was completed, failed or was
// evicted. One value may stand for many changes.
func (r *Reader) Wake() <-chan struct{} { return r.c }

// Close ends the subscription.
func (r *Reader) Close() {
	r.st.mu.Lock()
	defer r.st.mu.Unlock()
	for i, o := range r.st.readers {
		if o == r {
			r.st.readers = append(r.st.readers[:i], r.st.readers[i+1:]...)
			return
		}
	}
}

// wake tells all readers. It never waits and allocates nothing. Callers hold st.mu.
func (st *Stream) wake() {
	for _, r := range st.readers {
		select {
		case r.c <- struct{}{}:
		default:
		}
	}
}
