package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// markers seals where a list goes on. A marker is good for the same list only: action,
// account and all other parameters are part of what is sealed.
//
// It is the base64url form of 16 bytes of HMAC-SHA-256, then the position.
type markers struct{ key []byte }

const macSize = 16

var alphabet = base64.RawURLEncoding.Strict()

func (m markers) seal(r *request, position string) string {
	return alphabet.EncodeToString(append(m.mac(r, position), position...))
}

// open returns the position that the request goes on behind, "" to begin.
func (m markers) open(r *request) (position string, err error) {
	text := r.Get("Marker")
	if text == "" {
		return "", nil
	}
	raw, err := alphabet.DecodeString(text)
	// Encoded again, because the decoder passes over line ends.
	if err != nil || len(raw) < macSize || alphabet.EncodeToString(raw) != text ||
		!hmac.Equal(raw[:macSize], m.mac(r, string(raw[macSize:]))) {
		return "", kvs.Errorf(kvs.Validation, "The Marker is not one that this list gave. Leave it out to begin at the start.")
	}
	return string(raw[macSize:]), nil
}

// mac hashes every part behind its length, so that no two lists look alike.
func (m markers) mac(r *request, position string) []byte {
	h := hmac.New(sha256.New, m.key)
	part := func(s string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	part("iam " + r.action)
	part(string(r.account()))
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		if name != "Marker" && name != "MaxItems" {
			part(name)
			part(r.Get(name))
		}
	}
	part(position)
	return h.Sum(nil)[:macSize:macSize]
}

// page is the end of every list.
type page struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// defaultItems is how long a page is if nobody says.
const defaultItems = 100

// listed asks for the page of a list that the request names. next is where the list goes on,
// "" at its end.
func listed[V any](s *service, r *request, list func(after string, most int) (values []V, next string, err error)) ([]V, page, error) {
	after, err := s.markers.open(r)
	if err != nil {
		return nil, page{}, err
	}
	values, next, err := list(after, r.Int("MaxItems", defaultItems))
	if err != nil || next == "" {
		return values, page{}, err
	}
	return values, page{true, s.markers.seal(r, next)}, nil
}

// short is the page of a list that is always read whole, because it cannot be long. id tells
// its values apart.
func short[V any](s *service, r *request, all []V, id func(V) string) ([]V, page, error) {
	return listed(s, r, func(after string, most int) ([]V, string, error) {
		if i := slices.IndexFunc(all, func(v V) bool { return id(v) == after }); i >= 0 {
			all = all[i+1:]
		}
		if len(all) <= most {
			return all, "", nil
		}
		return all[:most], id(all[most-1]), nil
	})
}
