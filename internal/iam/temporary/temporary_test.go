package temporary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/seal"
)

const (
	account = kvs.AccountID("000022223333") // keeps its zeros
	role    = "AROAAAAAAAAAAAAAAAAA"
	user    = "AIDAAAAAAAAAAAAAAAAA"
	parent  = "AKIAAAAAAAAAAAAAAAAA"
	root    = "AKIAMILLRACEDEV00000" // no base32: as that of --dev
)

var purpose = seal.Purpose{Name: "sts"}

// bureau is an installation that gives out credentials, and what it asks.
type bureau struct {
	*Issuer
	t    testing.TB
	at   time.Time
	seal *seal.Store

	keys  map[string]iam.Key
	used  []string
	roles map[string]string // name by unique id
	ill   error             // what Valid says
	asked kvs.Principal     // whom Valid was asked about
}

func newBureau(t testing.TB) *bureau {
	t.Helper()
	d, err := db.Open(context.Background(), db.Options{Path: filepath.Join(t.TempDir(), "seal.db"), Migrations: seal.Migrations()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	b := &bureau{t: t, at: time.UnixMilli(1_700_000_000_500), roles: map[string]string{role: "reader"}, keys: map[string]iam.Key{}}
	b.keys[parent] = iam.Key{Active: true, Secret: "s1", Principal: kvs.Principal{Account: account, Kind: kvs.UserPrincipal, ID: user, Name: "anna", Path: "/",
		ARN: "arn:aws:iam::000022223333:user/anna", AccessKey: parent}}
	b.keys[root] = iam.Key{Active: true, Secret: "s2", Principal: kvs.Principal{Account: account, Kind: kvs.RootPrincipal, ID: string(account), Root: true, Home: true,
		ARN: "arn:aws:iam::000022223333:root", AccessKey: root}}
	now := func() time.Time { return b.at }
	if b.seal, err = seal.Open(context.Background(), seal.Options{DB: d, Wrapping: bytes.Repeat([]byte{7}, 32), Now: now}); err != nil {
		t.Fatal(err)
	}
	b.Issuer = New(Options{
		Seal: func(content []byte) (string, error) { return b.seal.Seal(purpose, content) },
		Unseal: func(token string) ([]byte, error) {
			content, err := b.seal.Open(purpose, token)
			if errors.Is(err, seal.ErrExpired) {
				err = &kvs.Error{Kind: kvs.Expired, Message: "too old", Cause: err}
			}
			return content, err
		},
		Room: purpose.Room(), Key: bytes.Repeat([]byte{9}, 32), Keys: b, Directory: b, Now: now,
	})
	return b
}

func (b *bureau) Lookup(_ context.Context, id string) (iam.Key, error) {
	if k, ok := b.keys[id]; ok {
		return k, nil
	}
	return iam.Key{}, kvs.Errorf(kvs.NotFound, "no key")
}

func (b *bureau) Used(id string) { b.used = append(b.used, id) }

func (b *bureau) Named(_ context.Context, p kvs.Principal) (name, path string, err error) {
	if name, ok := b.roles[p.ID]; ok && p.Account == account && p.Kind == kvs.RolePrincipal {
		return name, "/", nil
	}
	return "", "", kvs.Errorf(kvs.NotFound, "no role")
}

func (b *bureau) Valid(_ context.Context, p kvs.Principal) error {
	b.asked = p
	return b.ill
}

func (b *bureau) mint(g Grant) Credentials {
	b.t.Helper()
	c, err := b.Mint(b.t.Context(), g)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bureau) open(c Credentials) kvs.Principal {
	b.t.Helper()
	p, secret, err := b.Open(b.t.Context(), c.AccessKeyID, c.Token)
	if err != nil || secret != c.Secret {
		b.t.Fatalf("%v, or another secret", err)
	}
	return p
}

// refused wants an error of a kind, with the words that clients know.
func (b *bureau) refused(what string, c Credentials, want kvs.Kind) {
	b.t.Helper()
	words := map[kvs.Kind]string{kvs.Denied: "The security token included in the request is invalid.", kvs.Expired: "The security token included in the request is expired"}
	p, secret, err := b.Open(b.t.Context(), c.AccessKeyID, c.Token)
	if kvs.KindOf(err) != want || err.Error() != words[want] || secret != "" || p.ID != "" {
		b.t.Errorf("%s: %v, %v", what, p, err)
	}
	_, secret, found, err := b.Identify(b.t.Context(), c.AccessKeyID, c.Token)
	if found || secret != "" || (want == kvs.Expired) != (kvs.KindOf(err) == kvs.Expired && err != nil) {
		b.t.Errorf("%s: identified %v, %v", what, found, err)
	}
}

var session = Grant{Account: account, Kind: kvs.RolePrincipal, ID: role, Session: "night-shift@example.com", Life: time.Hour}

func TestASessionOfARole(t *testing.T) {
	b := newBureau(t)
	g := session
	g.Tags, g.SessionPolicies = map[string]string{"team": "north", "": ""}, []string{strings.Repeat("ab", 32), "other"}
	g.Thing, g.Certificate, g.ThingType = "camera-1", strings.Repeat("0f", 32), "indoor"
	c := b.mint(g)
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(c.AccessKeyID) || len(c.Secret) != 40 || len(c.Token) > 1400 {
		t.Errorf("%s, a secret of %d and a token of %d characters", c.AccessKeyID, len(c.Secret), len(c.Token))
	}
	if c.Issued != 1_700_000_000_500 || c.Expires != 1_700_003_600_000 || c.Packed < 1 || c.Packed > 30 {
		t.Errorf("%d to %d, %d%% packed", c.Issued, c.Expires, c.Packed)
	}
	want := kvs.Principal{Account: account, Kind: kvs.RolePrincipal, ARN: "arn:aws:sts::000022223333:assumed-role/reader/night-shift@example.com", ID: role,
		Name: "reader", Path: "/", Session: g.Session, AccessKey: c.AccessKeyID, Tags: g.Tags, SessionPolicies: g.SessionPolicies,
		Issued: c.Issued, Expires: c.Expires, Thing: g.Thing, Certificate: g.Certificate, ThingType: g.ThingType}
	if got := b.open(c); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if fmt.Sprint(b.asked) != fmt.Sprint(want) {
		t.Errorf("Valid was asked about %+v", b.asked)
	}
	if p, secret, found, err := b.Identify(t.Context(), c.AccessKeyID, c.Token); fmt.Sprint(p) != fmt.Sprint(want) || secret != c.Secret || !found || err != nil {
		t.Errorf("%+v, %v, %v", p, found, err)
	}
	if len(b.used) != 0 {
		t.Errorf("stored keys were used: %v", b.used)
	}
	b.roles[role] = "renamed"
	if p := b.open(c); p.Name != "renamed" || p.ARN != "arn:aws:sts::000022223333:assumed-role/renamed/night-shift@example.com" {
		t.Errorf("%+v", p)
	}
}

// What GetSessionToken gives is what its access key is.
func TestASessionOfAKey(t *testing.T) {
	b := newBureau(t)
	for key, g := range map[string]Grant{
		parent: {Account: account, Kind: kvs.UserPrincipal, ID: user, Parent: parent, Life: 36 * time.Hour},
		root:   {Account: account, Kind: kvs.RootPrincipal, Parent: root, Life: time.Hour},
	} {
		c := b.mint(g)
		want := b.keys[key].Principal
		want.AccessKey, want.Parent, want.Issued, want.Expires = c.AccessKeyID, key, c.Issued, c.Expires
		if got := b.open(c); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
}

func TestStoredKeys(t *testing.T) {
	b := newBureau(t)
	p, secret, found, err := b.Identify(t.Context(), parent, "")
	if p.AccessKey != parent || secret != "s1" || !found || err != nil || len(b.used) != 1 {
		t.Errorf("%+v, %v, %v, used %v", p, found, err, b.used)
	}
	k := b.keys[parent]
	k.Active = false
	b.keys[parent] = k
	for _, id := range []string{parent, "AKIAUNKNOWNUNKNOWNUN", ""} {
		if p, secret, found, err := b.Identify(t.Context(), id, ""); found || err != nil || secret != "" || p.ID != "" {
			t.Errorf("%s: %+v, %v, %v", id, p, found, err)
		}
	}
	if len(b.used) != 1 {
		t.Errorf("used %v", b.used)
	}
	if still, err := b.Still(t.Context(), &p); still || err != nil {
		t.Errorf("the key is disabled: %v, %v", still, err)
	}
	k.Active = true
	b.keys[parent] = k
	if still, err := b.Still(t.Context(), &p); !still || err != nil {
		t.Errorf("the key is good: %v, %v", still, err)
	}
}

func TestCredentialsExpire(t *testing.T) {
	b := newBureau(t)
	short, long := b.mint(session), b.mint(Grant{Account: account, Kind: kvs.UserPrincipal, ID: user, Parent: parent, Life: 36 * time.Hour})
	step := func(d time.Duration) {
		t.Helper()
		b.at = b.at.Add(d)
		if err := b.seal.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step(time.Hour - 501*time.Millisecond)
	began := b.open(short)
	step(time.Millisecond) // a whole second, as clients are told
	b.refused("a session of an hour", short, kvs.Expired)
	if still, err := b.Still(t.Context(), &began); !still || err != nil {
		t.Errorf("a call that began before ends: %v, %v", still, err)
	}
	step(23*time.Hour + time.Second) // the next sealing key begins
	step(12*time.Hour - 1001*time.Millisecond)
	b.open(long)
	step(time.Millisecond)
	b.refused("a session of 36 hours", long, kvs.Expired)
	step(25*time.Hour + time.Minute)
	if _, err := b.seal.Open(purpose, long.Token); !errors.Is(err, seal.ErrExpired) {
		t.Errorf("its sealing key is still there: %v", err)
	}
	b.refused("a session whose sealing key is gone", long, kvs.Expired)
}

// Whatever was revoked looks like what never was.
func TestCredentialsAreRevoked(t *testing.T) {
	b := newBureau(t)
	ofRole, ofUser := b.mint(session), b.mint(Grant{Account: account, Kind: kvs.UserPrincipal, ID: user, Parent: parent, Life: time.Hour})
	key, name := b.keys[parent], b.roles[role]
	for what, c := range map[string]struct {
		Credentials
		do, undo func()
	}{
		"the role is gone":            {ofRole, func() { delete(b.roles, role) }, func() { b.roles[role] = name }},
		"revoked before a moment":     {ofRole, func() { b.ill = kvs.Errorf(kvs.Denied, "revoked") }, func() { b.ill = nil }},
		"the user is gone":            {ofUser, func() { b.ill = kvs.Errorf(kvs.NotFound, "gone") }, func() { b.ill = nil }},
		"the key is gone":             {ofUser, func() { delete(b.keys, parent) }, func() { b.keys[parent] = key }},
		"the key is disabled":         {ofUser, func() { k := key; k.Active = false; b.keys[parent] = k }, func() { b.keys[parent] = key }},
		"the key is somebody else's":  {ofUser, func() { k := key; k.Principal.ID = "AIDABBBBBBBBBBBBBBBB"; b.keys[parent] = k }, func() { b.keys[parent] = key }},
		"the key is the root's now":   {ofUser, func() { k := key; k.Principal.Kind = kvs.RootPrincipal; b.keys[parent] = k }, func() { b.keys[parent] = key }},
		"the key of another account":  {ofUser, func() { k := key; k.Principal.Account = "444455556666"; b.keys[parent] = k }, func() { b.keys[parent] = key }},
		"the token of another key id": {Credentials{AccessKeyID: ofRole.AccessKeyID, Token: ofUser.Token}, func() {}, func() {}},
		"a stored key with a token":   {Credentials{AccessKeyID: parent, Token: ofUser.Token}, func() {}, func() {}},
		"of another installation":     {newBureau(t).mint(session), func() {}, func() {}},
		"made up":                     {Credentials{AccessKeyID: ofRole.AccessKeyID, Token: "IQoJb3JpZ2luX2VjEA=="}, func() {}, func() {}},
	} {
		p, _, err := b.Open(t.Context(), c.AccessKeyID, c.Token) // a call begins
		began := err == nil
		c.do()
		b.refused(what, c.Credentials, kvs.Denied)
		if still, err := b.Still(t.Context(), &p); began && (still || err != nil) {
			t.Errorf("%s: a call goes on: %v", what, err)
		}
		c.undo()
		if still, err := b.Still(t.Context(), &p); began && (!still || err != nil) {
			t.Errorf("not any more %s: %v, %v", what, still, err)
		}
	}
	b.open(ofRole)
	b.open(ofUser)
	b.ill = errors.New("the database is away")
	if _, _, found, err := b.Identify(t.Context(), ofRole.AccessKeyID, ofRole.Token); found || !errors.Is(err, b.ill) {
		t.Errorf("a look-up that failed: %v, %v", found, err)
	}
	if still, err := b.Still(t.Context(), &b.asked); still || !errors.Is(err, b.ill) {
		t.Errorf("a look-up that failed: %v, %v", still, err)
	}
}

// Credentials without a token are none, also when somebody guessed everything else.
func TestASecretNeedsItsToken(t *testing.T) {
	b := newBureau(t)
	c := b.mint(session)
	if _, _, found, err := b.Identify(t.Context(), c.AccessKeyID, ""); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	other := newBureau(t)
	other.o.Key = bytes.Repeat([]byte{8}, 32)
	other.o.Unseal = b.o.Unseal
	if _, secret, err := other.Open(t.Context(), c.AccessKeyID, c.Token); err != nil || secret == c.Secret {
		t.Errorf("the secret hangs on no key of the installation: %v", err)
	}
}

func TestTooMuchForAToken(t *testing.T) {
	b := newBureau(t)
	g := session
	g.Tags = map[string]string{}
	for i := range 50 {
		g.Tags[fmt.Sprintf("tag-%02d", i)] = "0123456789"
	}
	if c := b.mint(g); c.Packed < 90 || c.Packed > 100 || len(c.Token) > 1400 {
		t.Errorf("50 short tags: %d%% in %d characters", c.Packed, len(c.Token))
	}
	fits := 0
	for n := range 1000 { // the largest value that fits, to the byte
		g.Tags = map[string]string{"k": strings.Repeat("x", n)}
		c, err := b.Mint(t.Context(), g)
		if err == nil {
			fits = n
			continue
		}
		want := fmt.Sprintf("take 101%% of the space of a session token: %d bytes too many", n-fits)
		if kvs.KindOf(err) != kvs.TooLarge || !strings.Contains(err.Error(), want) || c.Token != "" {
			t.Errorf("%v, want %s", err, want)
		}
		break
	}
	if fits < 900 {
		t.Errorf("only %d bytes fit", fits)
	}
	g.Tags["k"] = strings.Repeat("x", fits)
	if c := b.mint(g); c.Packed != 100 || len(c.Token) < 1398 {
		t.Errorf("%d%% in %d characters", c.Packed, len(c.Token))
	}
}

func TestCredentialsArePrintedWithoutSecrets(t *testing.T) {
	c := newBureau(t).mint(session)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c)} {
		if strings.Contains(text, c.Secret) || strings.Contains(text, c.Token) || !strings.Contains(text, c.AccessKeyID) {
			t.Error("a secret is printed, or no id")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for name, tags := range map[string]int{"plain": 0, "50 tags": 50} {
		b.Run(name, func(b *testing.B) {
			bureau, g := newBureau(b), session
			for i := range tags {
				if g.Tags == nil {
					g.Tags = map[string]string{}
				}
				g.Tags[fmt.Sprintf("tag-%02d", i)] = "0123456789"
			}
			c := bureau.mint(g)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := bureau.Open(b.Context(), c.AccessKeyID, c.Token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
