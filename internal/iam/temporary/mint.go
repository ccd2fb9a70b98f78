package temporary

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Mint makes credentials. It fails with TooLarge, and says by how much, when tags and
// session policies do not fit into a token.
func (i *Issuer) Mint(_ context.Context, g Grant) (Credentials, error) {
	c := content{Grant: g}
	_, _ = rand.Read(c.id[:]) // never fails
	// Clients are shown seconds, and some of them take no fraction (wire-media section 8.2):
	// what they are told must not be later than the truth.
	c.issued = kvs.MillisOf(i.o.Now())
	c.expires = kvs.MillisOf(i.o.Now().Add(g.Life).Truncate(time.Second))
	b := c.append(make([]byte, 0, 256))
	percent := (len(b)*100 + i.o.Room - 1) / i.o.Room
	if over := len(b) - i.o.Room; over > 0 {
		return Credentials{}, kvs.Errorf(kvs.TooLarge, "Session policies and tags take %d%% of the space of a session token: %d bytes too many. Use fewer or shorter tags, or fewer policies.",
			percent, over)
	}
	token, err := i.o.Seal(b)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{AccessKeyID: c.accessKey(), Secret: i.secret(b), Token: token, Issued: c.issued, Expires: c.expires, Packed: percent}, nil
}
