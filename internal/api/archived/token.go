package archived

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// tokens seals where a list goes on: the selector, the position and the stream. A
// token stays good while fragments are added and expire.
type tokens struct {
	key []byte
}

// tokenSize is the length of a token's content: clock, range, position.
const tokenSize = 1 + 4*8

func (t tokens) seal(id kvs.StreamID, q archive.Query) string {
	b := make([]byte, 0, tokenSize+sha256.Size)
	b = append(b, byte(q.Clock))
	for _, v := range []int64{int64(q.Range.Start), int64(q.Range.End), int64(q.After.Time), q.After.N} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return base64.StdEncoding.EncodeToString(append(b, t.mac(id, b)...))
}

func (t tokens) open(id kvs.StreamID, token string) (q archive.Query, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(token)
	// The decoder passes over line ends; a token has none.
	if err != nil || len(b) != tokenSize+sha256.Size || len(token) != base64.StdEncoding.EncodedLen(len(b)) {
		return q, false
	}
	content, mac := b[:tokenSize], b[tokenSize:]
	if !hmac.Equal(mac, t.mac(id, content)) {
		return q, false
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(content[1+8*i:])) }
	q.Clock = kvs.Clock(content[0])
	q.Range = kvs.TimeRange{Start: kvs.Millis(at(0)), End: kvs.Millis(at(1))}
	q.After = archive.Position{Time: kvs.Millis(at(2)), N: at(3)}
	return q, true
}

func (t tokens) mac(id kvs.StreamID, content []byte) []byte {
	m := hmac.New(sha256.New, t.key)
	_, _ = m.Write(binary.BigEndian.AppendUint64([]byte("ListFragments"), uint64(id)))
	_, _ = m.Write(content)
	return m.Sum(nil)
}
