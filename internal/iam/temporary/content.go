package temporary

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/kvs"
)

// form is the version of the content.
const form = 1

// content is what a token carries.
type content struct {
	Grant   // but for Life
	id      [10]byte
	issued  kvs.Millis
	expires kvs.Millis
}

// accessKey is the id of the credentials in the form AWS gives it.
func (c *content) accessKey() string { return "ASIA" + base32.StdEncoding.EncodeToString(c.id[:]) }

// append appends the binary form.
func (c *content) append(b []byte) []byte {
	b = append(b, form, byte(c.Kind))
	b = append(b, c.id[:]...)
	account, _ := strconv.ParseUint(string(c.Account), 10, 64)
	b = binary.AppendUvarint(b, account)
	b = appendTexts(b, c.ID, c.Session, c.Parent)
	b = binary.AppendUvarint(b, uint64(c.issued))
	b = binary.AppendUvarint(b, uint64(c.expires-c.issued))
	b = binary.AppendUvarint(b, uint64(len(c.Tags)))
	for _, key := range slices.Sorted(maps.Keys(c.Tags)) {
		b = appendTexts(b, key, c.Tags[key])
	}
	b = binary.AppendUvarint(b, uint64(len(c.SessionPolicies)))
	b = appendTexts(b, c.SessionPolicies...)
	if c.Thing == "" && c.Certificate == "" && c.ThingType == "" {
		return append(b, 0)
	}
	return appendTexts(append(b, 3), c.Thing, c.Certificate, c.ThingType)
}

var errContent = errors.New("the session token holds no credentials")

// parse reads what append wrote. The bytes were sealed by ourselves, perhaps by a newer
// version.
func parse(b []byte) (c content, err error) {
	r := reader{b: b}
	if r.byte() != form {
		return c, errContent
	}
	c.Kind = kvs.PrincipalKind(r.byte())
	copy(c.id[:], r.take(len(c.id)))
	c.Account = kvs.AccountID(fmt.Sprintf("%012d", r.number()))
	c.ID, c.Session, c.Parent = r.text(), r.text(), r.text()
	c.issued = kvs.Millis(r.number())
	c.expires = c.issued + kvs.Millis(r.number())
	if n := r.count(2); n > 0 {
		c.Tags = make(map[string]string, n)
		for range n {
			key := r.text()
			c.Tags[key] = r.text()
		}
	}
	for range r.count(1) {
		c.SessionPolicies = append(c.SessionPolicies, r.text())
	}
	if r.count(1) == 3 {
		c.Thing, c.Certificate, c.ThingType = r.text(), r.text(), r.text()
	}
	known := c.Kind == kvs.RolePrincipal || (c.Kind == kvs.UserPrincipal || c.Kind == kvs.RootPrincipal) && c.Parent != ""
	if r.bad || len(r.b) > 0 || !known || c.issued < 0 || c.expires < c.issued || len(c.Account) != 12 {
		return content{}, errContent
	}
	return c, nil
}

// prefixes are those of ids that are packed. Their order is part of the form.
var prefixes = []string{"AIDA", "AROA", "AKIA", "ASIA", "ANPA"}

const (
	prefixLen = 4
	idLen     = 10 // bytes behind a prefix, 16 characters of base32
	hashLen   = 32 // bytes of a hash of SHA-256, 43 characters of base64url

	hashForm = 5 // behind the prefixes
	hexForm  = 6
)

// hashes are written in one way only.
var hashes = base64.RawURLEncoding.Strict()

// appendTexts appends texts. The number before the bytes of each is twice their count; an odd
// one says that they are packed: its half is the prefix of an id, 5 for a hash, or 6 and how
// many bytes of hexadecimal follow.
func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		if packed, half := pack(s); packed != nil {
			b = append(binary.AppendUvarint(b, uint64(half)<<1|1), packed...)
		} else {
			b = append(binary.AppendUvarint(b, uint64(len(s))<<1), s...)
		}
	}
	return b
}

// pack returns the bytes that ids and hashes are text of; nil for other texts.
func pack(s string) (packed []byte, half int) {
	if len(s) == prefixLen+16 {
		i := slices.Index(prefixes, s[:prefixLen])
		if raw, err := base32.StdEncoding.DecodeString(s[prefixLen:]); i >= 0 && err == nil && len(raw) == idLen {
			return raw, i
		}
	}
	if len(s) == hashes.EncodedLen(hashLen) {
		if raw, err := hashes.DecodeString(s); err == nil && len(raw) == hashLen {
			return raw, hashForm
		}
	}
	if len(s) < 16 { // not worth it
		return nil, 0
	}
	raw, err := hex.DecodeString(s)
	if err != nil || hex.EncodeToString(raw) != s {
		return nil, 0
	}
	return raw, hexForm + len(raw)
}

// reader takes a content apart. After something that is not there it is bad, and what it
// returns is nothing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.take(len(r.b) + 1)
		return 0
	}
	r.take(n)
	return v
}

// count is a number of things of which each takes at least so many bytes.
func (r *reader) count(each int) int {
	n := r.number()
	if n > uint64(len(r.b)/each) {
		r.take(len(r.b) + 1)
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.number()
	half := n >> 1
	switch {
	case n&1 == 0 && half <= uint64(len(r.b)):
		return string(r.take(int(half)))
	case n&1 == 1 && half < uint64(len(prefixes)):
		if raw := r.take(idLen); raw != nil {
			return prefixes[half] + base32.StdEncoding.EncodeToString(raw)
		}
		return ""
	case n&1 == 1 && half == hashForm:
		if raw := r.take(hashLen); raw != nil {
			return hashes.EncodeToString(raw)
		}
		return ""
	case n&1 == 1 && half-hexForm <= uint64(len(r.b)):
		return hex.EncodeToString(r.take(int(half) - hexForm))
	}
	r.take(len(r.b) + 1)
	return ""
}
