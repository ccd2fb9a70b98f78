package segment

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Part is one of the two sealed parts of a record.
type Part uint8

// The parts, in their order on the disk.
const (
	BodyPart   Part = 1
	FramesPart Part = 2
)

// SealedChunk is the length of a whole chunk once it is sealed.
const SealedChunk = ChunkSize + tagSize

const keyInfo = "millrace record"

// recordCipher makes the cipher of one record.
func recordCipher(key DataKey, r *Record) (cipher.AEAD, error) {
	if key.ID != r.Key || key.ID == 0 {
		return nil, fmt.Errorf("the record needs data key %d, and this is %d", r.Key, key.ID)
	}
	k, err := hkdf.Key(sha256.New, key.Secret[:], r.Salt[:], keyInfo, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is that of one chunk: each is used once, since each record has its own key.
type nonce [12]byte

func (n *nonce) set(part Part, chunk uint64, last bool) {
	n[0] = byte(part)
	binary.BigEndian.PutUint64(n[3:], chunk)
	n[11] = 0
	if last {
		n[11] = 1
	}
}

// additional says whose chunk it is. The position is not in it, so that a record can be
// copied forward without its key.
type additional [29]byte

func additionalOf(r *Record) (a additional) {
	binary.LittleEndian.PutUint64(a[:], uint64(r.Fragment.Stream))
	binary.LittleEndian.PutUint64(a[8:], uint64(r.Fragment.Number.N))
	binary.LittleEndian.PutUint64(a[16:], uint64(r.Fragment.Number.Server))
	binary.LittleEndian.PutUint32(a[24:], r.Fragment.Number.Random)
	a[28] = byte(r.Kind)
	return a
}

// Sealer makes what follows the facts of a record in one pass: Start, then Body and
// Frames with all bytes in pieces of any length, then Checksums. Sealing a chunk
// allocates nothing. The zero value is ready, and one Sealer serves any number of records
// one after the other.
type Sealer struct {
	aead  cipher.AEAD
	data  additional
	nonce nonce
	sums  []byte // of the chunks sealed so far
	held  []byte // what is there of the current chunk

	part   Part
	chunk  uint64          // number of the current one
	left   int64           // bytes of the part that are not sealed yet
	frames int64           // length of the frame table
	room   [ChunkSize]byte // of held
}

// Start begins a record. r needs its kind, stream, number, salt, key and both lengths.
// The error says that key is another one than r.Key.
func (s *Sealer) Start(key DataKey, r *Record) (err error) {
	if s.aead, err = recordCipher(key, r); err != nil {
		return err
	}
	s.data = additionalOf(r)
	s.sums, s.held = s.sums[:0], s.room[:0]
	s.part, s.chunk, s.left, s.frames = BodyPart, 0, r.Body, r.FrameTable
	return nil
}

// Body seals the next piece of the body behind dst. It never makes dst grow: what found
// no room there is returned as rest, and goes into the next call with a dst that has
// room for at least [SealedChunk] bytes. Bytes of a chunk that is not complete yet are
// kept. More bytes than the record's Body are a mistake of the caller and panic.
func (s *Sealer) Body(dst, piece []byte) (sealed, rest []byte) { return s.seal(dst, piece) }

// Frames seals the next piece of the frame table as Body does that of the body, which
// must be complete.
func (s *Sealer) Frames(dst, piece []byte) (sealed, rest []byte) {
	if s.part == BodyPart {
		s.endBody()
	}
	return s.seal(dst, piece)
}

func (s *Sealer) endBody() {
	if s.left != 0 {
		panic("segment: the body is shorter than its record says")
	}
	s.part, s.chunk, s.left = FramesPart, 0, s.frames
}

func (s *Sealer) seal(dst, piece []byte) (sealed, rest []byte) {
	for len(piece) > 0 {
		if int64(len(s.held)+len(piece)) > s.left && s.left <= ChunkSize {
			panic("segment: more bytes than the record says")
		}
		n := int(min(ChunkSize, s.left))
		missing := n - len(s.held)
		switch {
		case len(piece) < missing:
			s.held = append(s.held, piece...)
			return dst, nil
		case cap(dst)-len(dst) < n+tagSize:
			return dst, piece
		case missing == n:
			dst = s.sealChunk(dst, piece[:n])
		default:
			s.held = append(s.held, piece[:missing]...)
			dst = s.sealChunk(dst, s.held)
			s.held = s.held[:0]
		}
		piece = piece[missing:]
	}
	return dst, nil
}

// sealChunk seals a complete chunk behind dst.
func (s *Sealer) sealChunk(dst, chunk []byte) []byte {
	at := len(dst)
	s.left -= int64(len(chunk))
	s.nonce.set(s.part, s.chunk, s.left == 0)
	s.chunk++
	dst = s.aead.Seal(dst, s.nonce[:], chunk, s.data[:])
	s.sums = binary.LittleEndian.AppendUint32(s.sums, checksum(dst[at:]))
	return dst
}

// Checksums appends the end of the record to dst, once body and frame table are
// complete.
func (s *Sealer) Checksums(dst []byte) []byte {
	if s.part == BodyPart {
		s.endBody()
	}
	if s.left != 0 {
		panic("segment: the frame table is shorter than its record says")
	}
	return appendSums(dst, s.sums)
}

// appendSums appends the checksums of all chunks and the one over them.
func appendSums(dst, sums []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, sums...), checksum(sums))
}
