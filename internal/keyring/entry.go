package keyring

import (
	"encoding/binary"

	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/kvs"
)

// Format is that of the file keys. Its entries are read with [ParseEntry].
var Format = journal.Format{Magic: "MLRCKEY\n", Size: entrySize + 4}

// The size of an entry without its checksum, and the longest wrapped key in it.
const (
	entrySize  = 252
	maxWrapped = 224
)

// Entry is a wrapped data key as the file keeps it. One of stream 0 without a key says
// only that its id was used.
type Entry struct {
	ID      uint64 // never used again
	Stream  kvs.StreamID
	Created kvs.Millis // server timestamp of the first fragment it was made for
	Wrapped []byte     // by the provider; must not be modified
}

// append encodes an entry, all but its checksum.
func (e Entry) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, e.ID)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Stream))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Created))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Wrapped)))
	b = append(b, e.Wrapped...)
	return append(b, make([]byte, maxWrapped-len(e.Wrapped))...)
}

// ParseEntry decodes an entry of the file keys, without its checksum. It reports false
// when the bytes are none.
func ParseEntry(b []byte) (Entry, bool) {
	if len(b) != entrySize {
		return Entry{}, false
	}
	n := binary.LittleEndian.Uint32(b[24:])
	if n > maxWrapped {
		return Entry{}, false
	}
	return Entry{
		ID:      binary.LittleEndian.Uint64(b),
		Stream:  kvs.StreamID(binary.LittleEndian.Uint64(b[8:])),
		Created: kvs.Millis(binary.LittleEndian.Uint64(b[16:])),
		Wrapped: append([]byte(nil), b[28:28+n]...),
	}, true
}
