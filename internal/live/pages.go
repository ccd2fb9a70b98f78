package live

import "sync"

// pagePool keeps freed pages for the next fragment, so that steady streams do not
// feed the garbage collector. What lay there unused for a while goes.
type pagePool struct {
	mu     sync.Mutex
	free   [][]byte
	unused int // the fewest there were since the last trim
}

func (p *pagePool) get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free)
	if n == 0 {
		p.unused = 0
		return make([]byte, PageSize)
	}
	page := p.free[n-1]
	p.free[n-1] = nil
	p.free = p.free[:n-1]
	p.unused = min(p.unused, n-1)
	return page
}

func (p *pagePool) put(pages [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, pages...)
}

// trim lets half of the pages go that nobody needed since the last call, all of a few.
func (p *pagePool) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	const few = 16
	drop := p.unused
	if drop > few {
		drop /= 2
	}
	clear(p.free[len(p.free)-drop:])
	p.free = p.free[:len(p.free)-drop]
	p.unused = len(p.free)
	if cap(p.free) > 4*len(p.free)+64 {
		p.free = append([][]byte(nil), p.free...)
	}
}
