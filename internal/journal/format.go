package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Format tells one kind of journal from another.
type Format struct {
	Magic string // the first 8 bytes of the file
	Size  int    // of an entry in bytes, its checksum of 4 bytes included; at most 64 KiB
}

const (
	headSize     = 64
	checksumSize = 4
	version      = 1

	headVersion  = 8
	headEntry    = 12
	headSalt     = 16
	headChecksum = 60
)

// readBytes is about how much is read at a time.
const readBytes = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errHead says that a file does not begin like a journal.
var errHead = errors.New("the journal's first 64 bytes are damaged")

func (f Format) appendHead(b []byte, salt uint64) []byte {
	var h [headSize]byte
	copy(h[:headVersion], f.Magic)
	binary.LittleEndian.PutUint32(h[headVersion:], version)
	binary.LittleEndian.PutUint32(h[headEntry:], uint32(f.Size)) //nolint:gosec // at most 64 KiB
	binary.LittleEndian.PutUint64(h[headSalt:], salt)
	binary.LittleEndian.PutUint32(h[headChecksum:], crc32.Checksum(h[:headChecksum], castagnoli))
	return append(b, h[:]...)
}

func (f Format) parseHead(h []byte) (salt uint64, err error) {
	if binary.LittleEndian.Uint32(h[headChecksum:]) != crc32.Checksum(h[:headChecksum], castagnoli) || string(h[:headVersion]) != f.Magic {
		return 0, errHead
	}
	if v := binary.LittleEndian.Uint32(h[headVersion:]); v != version {
		return 0, fmt.Errorf("the journal has version %d; this program knows %d", v, version)
	}
	if n := binary.LittleEndian.Uint32(h[headEntry:]); int64(n) != int64(f.Size) {
		return 0, fmt.Errorf("the journal has entries of %d bytes, not %d", n, f.Size)
	}
	return binary.LittleEndian.Uint64(h[headSalt:]), nil
}

// appendEntry appends an entry that will stand at a position. A payload of another size
// is a mistake of the program.
func (f Format) appendEntry(b, payload []byte, salt uint64, at int64) []byte {
	if len(payload) != f.Size-checksumSize {
		panic(fmt.Sprintf("journal %q: payload of %d bytes", f.Magic, len(payload)))
	}
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, entryChecksum(payload, salt, at))
}

// entryChecksum covers salt and position, so that an entry is valid in one place of one
// file only.
func entryChecksum(payload []byte, salt uint64, at int64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], salt)
	binary.LittleEndian.PutUint64(place[8:], uint64(at)) //nolint:gosec // a position
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, payload)
}

// Read reads size bytes of a journal and calls each, which may be nil, for the intact
// entries in order, with their position and without their checksum; the slice is valid
// during the call only. Damaged entries are stepped over. end is the position behind the
// last intact one: a journal is intact when each was called for every position up to end
// and end is size. An error of each is returned as it is.
func Read(r io.ReaderAt, size int64, f Format, each func(at int64, payload []byte) error) (salt uint64, end int64, err error) {
	var h [headSize]byte
	if size < headSize {
		return 0, 0, errHead
	}
	if err := readFull(r, h[:], 0); err != nil {
		return 0, 0, err
	}
	if salt, err = f.parseHead(h[:]); err != nil {
		return 0, 0, err
	}
	end = headSize
	entry := int64(f.Size)
	b := make([]byte, max(readBytes/entry, 1)*entry)
	for at := int64(headSize); size-at >= entry; at += int64(len(b)) {
		b = b[:min(int64(len(b)), (size-at)/entry*entry)]
		if err := readFull(r, b, at); err != nil {
			return salt, end, err
		}
		if end, err = f.readBlock(b, salt, at, end, each); err != nil {
			return salt, end, err
		}
	}
	return salt, end, nil
}

// readBlock reads the entries in b, which stands at a position.
func (f Format) readBlock(b []byte, salt uint64, at, end int64, each func(int64, []byte) error) (int64, error) {
	for ; len(b) > 0; b, at = b[f.Size:], at+int64(f.Size) {
		payload := b[:f.Size-checksumSize]
		if binary.LittleEndian.Uint32(b[len(payload):]) != entryChecksum(payload, salt, at) {
			continue
		}
		end = at + int64(f.Size)
		if each == nil {
			continue
		}
		if err := each(at, payload); err != nil {
			return end, err
		}
	}
	return end, nil
}

// readFull fills b from off on; a file that ends before was cut while it was read.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}
