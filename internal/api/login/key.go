package login

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

const (
	maxBody     = 16 << 10         // bytes of a login
	bodyTimeout = 10 * time.Second // how long they may take
)

// credentials are what /login/key takes.
type credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
}

// byKey begins a session for whoever knows the secret of an access key.
func (d *Door) byKey(ctx context.Context, a *answer, r *http.Request) error {
	if err := d.fromOurs(r); err != nil {
		return refuse(http.StatusForbidden, "%s", err.Error())
	}
	var in credentials
	if err := readJSON(a, r, &in); err != nil {
		return err
	}
	attempt, err := d.failures.begin(d.o.Client(r))
	if err != nil {
		return err
	}
	p, err := d.check(ctx, in)
	if err != nil {
		attempt.wait(ctx)
		return err
	}
	attempt.succeeded()
	s, err := d.begin(ctx, p, in)
	if err != nil {
		return visible(err)
	}
	d.welcome(ctx, a, r, "access key", p, s)
	return a.json(http.StatusOK, d.shown(p, s))
}

// begin makes a session for who proved to have the credentials. Those of temporary ones are
// the session itself, for as long: what revokes them ends it, and a logout ends them.
func (d *Door) begin(ctx context.Context, p kvs.Principal, in credentials) (Session, error) {
	if !p.Temporary() {
		return d.o.Sessions.Begin(ctx, p, d.o.Life)
	}
	s := Session{ID: in.AccessKeyID, Token: in.SessionToken, Expires: d.o.Now().Add(d.o.Life)}
	if end := p.Expires.Time(); end.Before(s.Expires) {
		s.Expires = end
	}
	return s, nil
}

// check compares the secret. Whether there is such a key takes no other time to say than
// that its secret is another one.
func (d *Door) check(ctx context.Context, in credentials) (kvs.Principal, error) {
	p, secret, found, err := d.o.Keys.Identify(ctx, in.AccessKeyID, in.SessionToken)
	if err != nil && kvs.KindOf(err) == kvs.Internal {
		return p, err
	}
	want, got := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(in.SecretAccessKey))
	same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	if err != nil || !found || !same || secret == "" {
		return kvs.Principal{}, refuse(http.StatusForbidden, "There is no such access key, or its secret is another one.").because(err)
	}
	return p, nil
}

// readJSON reads what a script sent. A form of another site cannot have this type.
func readJSON(a *answer, r *http.Request, into any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "Send application/json.")
	}
	ctrl := http.NewResponseController(a.w)
	_ = ctrl.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer func() { _ = ctrl.SetReadDeadline(time.Time{}) }()
	b, err := io.ReadAll(http.MaxBytesReader(a.w, r.Body, maxBody))
	if err != nil || json.Unmarshal(b, into) != nil { // its error may show what was sent
		return refuse(http.StatusBadRequest, "The body is no JSON object of at most %d bytes.", maxBody)
	}
	return nil
}

// welcome hands out a session.
func (d *Door) welcome(ctx context.Context, a *answer, r *http.Request, how string, p kvs.Principal, s Session) {
	d.setCookie(a, s)
	d.o.Trusted(ctx)
	d.o.Logger.InfoContext(ctx, "login", "by", how, "who", p.ARN, "session", s.ID, "until", s.Expires.UTC(), "client", d.o.Client(r).String())
}

// visible turns an error of a room into an answer.
func visible(err error) error {
	switch kvs.KindOf(err) {
	case kvs.Internal:
		return err
	case kvs.Unavailable:
		return refuse(http.StatusServiceUnavailable, "%s", err.Error())
	}
	return refuse(http.StatusForbidden, "%s", err.Error())
}
