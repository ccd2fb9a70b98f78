package live

import "sync"

// pagePool keeps freed pages for the next fragment, so that steady streams do not
// feed the garbage collector. It holds at most keepPages of them.
type pagePool struct {
	mu   sync.Mutex
	free [][]byte
}

const keepPages = 256

func (p *pagePool) get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		page := p.free[n-1]
		p.free = p.free[:n-1]
		return page
	}
	return make([]byte, PageSize)
}

func (p *pagePool) put(pages [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, page := range pages {
		if len(p.free) == keepPages {
			return
		}
		p.free = append(p.free, page)
	}
}
