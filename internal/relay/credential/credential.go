// Package credential makes and checks what a client shows to a relay: user names that say
// whose they are and until when, their passwords, and the nonces of the long-term mechanism.
// Nothing is stored for any of them: they follow from a [Secret].
//
//	user     = expiry in unix seconds ":" base64url("v1:" account ":" channel ":" client)
//	password = base64(HMAC-SHA-256(key of the secret, user)), 44 characters
//	nonce    = base64url(4 bytes of unix time, 8 bytes of HMAC-SHA-256 over time and source)
//
// The form of user and password is what clients of the original service are used to
// (wire-webrtc section 5.1); the contents are ours. [Shared] makes those of relays of others.
package credential

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the form that other relays share secrets in
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// MaxUser is how many characters the longest user name has.
const MaxUser = 165

// maxClient is the longest client id that stands in a user name as it is.
const maxClient = 64

// Why a user name is not taken. The texts hold nothing of it.
var (
	ErrForeign = errors.New("the user name is not one of this relay")
	ErrExpired = errors.New("the credentials are expired")
)

// Secret makes credentials and nonces. It may be used from any number of goroutines.
type Secret struct{ users, nonces []byte }

// NewSecret derives the keys from 32 bytes or more that nobody else has and that stay the
// same when the server starts again.
func NewSecret(secret []byte) (Secret, error) {
	if len(secret) < 32 {
		return Secret{}, fmt.Errorf("relay secret of %d bytes, at least 32 are needed", len(secret))
	}
	users, err := hkdf.Key(sha256.New, secret, nil, "millrace relay users", sha256.Size)
	if err != nil {
		return Secret{}, fmt.Errorf("relay secret: %w", err)
	}
	nonces, err := hkdf.Key(sha256.New, secret, nil, "millrace relay nonces", sha256.Size)
	if err != nil {
		return Secret{}, fmt.Errorf("relay secret: %w", err)
	}
	return Secret{users: users, nonces: nonces}, nil
}

// Holder is who was given credentials.
type Holder struct {
	Account kvs.AccountID
	Channel kvs.ChannelID
	Client  string    // client id of a viewer, "" = master; a long one as "#" and a hash
	Expires time.Time // whole seconds
}

// Issue returns a user name that holds until now plus ttl, and its password.
func (s Secret) Issue(now time.Time, h Holder, ttl time.Duration) (user, password string) {
	if len(h.Client) > maxClient {
		hash := sha256.Sum256([]byte(h.Client))
		h.Client = "#" + base64.RawURLEncoding.EncodeToString(hash[:16])
	}
	body := fmt.Sprintf("v1:%s:%d:%s", h.Account, h.Channel, h.Client)
	user = strconv.FormatInt(now.Add(ttl).Unix(), 10) + ":" + base64.URLEncoding.EncodeToString([]byte(body))
	return user, s.Password(user)
}

// Password returns that of a user name, whoever made it: what is signed with it is from
// who was given it.
func (s Secret) Password(user string) string {
	return base64.StdEncoding.EncodeToString(sum(s.users, user))
}

// Parse says who a user name is of. It says nothing about whether its bearer has the
// password, nor whether it has expired.
func Parse(user string) (Holder, error) {
	stamp, body, _ := strings.Cut(user, ":")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(user) > MaxUser || seconds < 0 {
		return Holder{}, ErrForeign
	}
	text, err := base64.URLEncoding.Strict().DecodeString(body)
	if err != nil {
		return Holder{}, ErrForeign
	}
	parts := strings.SplitN(string(text), ":", 4)
	if len(parts) != 4 || parts[0] != "v1" {
		return Holder{}, ErrForeign
	}
	channel, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || len(parts[3]) > maxClient {
		return Holder{}, ErrForeign
	}
	return Holder{Account: kvs.AccountID(parts[1]), Channel: kvs.ChannelID(channel), Client: parts[3], Expires: time.Unix(seconds, 0)}, nil
}

// Expired says whether the credentials may no longer begin anything.
func (h Holder) Expired(now time.Time) bool { return !now.Before(h.Expires) }

// Shared makes credentials for the relay of somebody else that shares a secret with us,
// in the form of draft-uberti-behave-turn-rest that coturn calls use-auth-secret.
func Shared(secret string, now time.Time, client string, ttl time.Duration) (user, password string) {
	user = strconv.FormatInt(now.Add(ttl).Unix(), 10) + ":" + client
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(user))
	return user, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func sum(key []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}
