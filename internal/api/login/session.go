package login

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// shown is what a page learns about its session.
type shown struct {
	Account kvs.AccountID
	Arn     string
	Kind    string // root, user or role
	Name    string `json:",omitempty"` // of user or role
	Session string `json:",omitempty"` // of a role
	Expires string // ISO 8601
	CSRF    string `json:"Csrf"`
}

func (d *Door) shown(p kvs.Principal, s Session) shown {
	page := shown{Account: p.Account, Arn: p.ARN, Kind: "root", Name: p.Name, Session: p.Session,
		Expires: s.Expires.UTC().Format(time.RFC3339), CSRF: d.csrf(s.ID)}
	switch p.Kind {
	case kvs.UserPrincipal:
		page.Kind = "user"
	case kvs.RolePrincipal:
		page.Kind = "role"
	}
	return page
}

// session tells a page of ours whose session its cookie is, and the value that its calls
// need. Other sites cannot read the answer.
func (d *Door) session(ctx context.Context, a *answer, r *http.Request) error {
	s, p, err := d.current(ctx, a, r)
	if err != nil {
		return err
	}
	return a.json(http.StatusOK, d.shown(p, s))
}

// current is the session of a request that a page of ours makes.
func (d *Door) current(ctx context.Context, a *answer, r *http.Request) (s Session, p kvs.Principal, err error) {
	if err := d.fromOurs(r); err != nil {
		return s, p, refuse(http.StatusForbidden, "%s", err.Error())
	}
	s, found, ok := d.readCookie(r)
	if !found {
		return s, p, refuse(http.StatusUnauthorized, "Nobody is logged in.")
	}
	if ok {
		p, err = d.resume(ctx, s)
	}
	switch {
	case ok && err == nil:
		d.o.Trusted(ctx)
		return s, p, nil
	case ok && kvs.KindOf(err) == kvs.Internal:
		return s, p, err
	}
	d.removeCookie(a)
	return s, p, refuse(http.StatusUnauthorized, "The session has ended.").because(err)
}

// logout ends a session for good: its cookie is worth nothing, whoever kept it.
func (d *Door) logout(ctx context.Context, a *answer, r *http.Request) error {
	s, p, err := d.current(ctx, a, r)
	if err != nil {
		return err
	}
	if err := d.checkCSRF(r, s.ID); err != nil {
		return refuse(http.StatusForbidden, "%s", err.Error())
	}
	if err := d.o.Sessions.End(ctx, p); err != nil {
		return err
	}
	d.removeCookie(a)
	d.o.Logger.InfoContext(ctx, "logout", "who", p.ARN, "session", s.ID, "client", d.o.Client(r).String())
	return a.json(http.StatusOK, struct{}{})
}

func (d *Door) removeCookie(a *answer) {
	http.SetCookie(a.w, cookie(CookieName, "", -1, http.SameSiteStrictMode))
}
