package segment

import (
	"crypto/cipher"
	"errors"
	"sync"
)

// ErrNotSealed says that a chunk is not what was sealed: it is damaged, or of another
// record, or the key is wrong.
var ErrNotSealed = errors.New("the chunk cannot be unsealed")

// Opener unseals the chunks of one record, in any order and from any number of
// goroutines.
type Opener struct {
	aead cipher.AEAD
	data additional
	size [3]int64 // by part
}

// NewOpener makes the opener of a record of version 2. The error says that key is
// another one than r.Key.
func NewOpener(key DataKey, r *Record) (*Opener, error) {
	aead, err := recordCipher(key, r)
	if err != nil {
		return nil, err
	}
	return &Opener{aead: aead, data: additionalOf(r), size: [3]int64{BodyPart: r.Body, FramesPart: r.FrameTable}}, nil
}

// nonces keeps nonces, so that unsealing a chunk allocates nothing.
var nonces = sync.Pool{New: func() any { return new(nonce) }}

// Chunk unseals chunk number n of a part and appends it to dst. sealed[:0] is allowed as
// dst; apart from that they must not overlap. The error is [ErrNotSealed], and then
// the room behind dst holds nothing of the chunk.
func (o *Opener) Chunk(dst, sealed []byte, part Part, n int64) ([]byte, error) {
	length, last := ChunkLength(o.size[part], n)
	if length <= 0 || int64(len(sealed)) != length+tagSize {
		return dst, ErrNotSealed
	}
	c := nonces.Get().(*nonce)
	defer nonces.Put(c)
	c.set(part, uint64(n), last)
	plain, err := o.aead.Open(dst, c[:], sealed, o.data[:])
	if err != nil {
		return dst, ErrNotSealed
	}
	return plain, nil
}

// ChunkLength returns how many bytes chunk number n of a part of size bytes has before
// sealing, 0 or less if there is no such chunk, and whether it is the last.
func ChunkLength(size, n int64) (length int64, last bool) {
	rest := size - n*ChunkSize
	if n < 0 || rest <= 0 {
		return 0, false
	}
	return min(rest, ChunkSize), rest <= ChunkSize
}
