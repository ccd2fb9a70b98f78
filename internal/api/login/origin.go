package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
)

// Login returns who makes a call with a session cookie in place of a signature. found is
// false when there is no cookie. An error of kind Denied says that the call does not come from
// a page of ours or that the session was ended, one of kind Expired that its time is over.
func (d *Door) Login(ctx context.Context, r *http.Request) (p kvs.Principal, found bool, err error) {
	s, found, ok := d.readCookie(r)
	if !found {
		return p, false, nil
	}
	if !ok {
		return p, true, kvs.Errorf(kvs.Denied, "The session cookie is not one of this server: log in again.")
	}
	if err := d.fromOurs(r); err != nil {
		return p, true, kvs.Errorf(kvs.Denied, "%s", err.Error())
	}
	if err := d.checkCSRF(r, s.ID); err != nil {
		return p, true, kvs.Errorf(kvs.Denied, "%s", err.Error())
	}
	p, err = d.resume(ctx, s)
	return p, true, err
}

// checkCSRF compares the header with what the session's page was given.
func (d *Door) checkCSRF(r *http.Request, id string) error {
	got := r.Header.Values(CSRFHeader)
	if len(got) != 1 || subtle.ConstantTimeCompare([]byte(got[0]), []byte(d.csrf(id))) != 1 {
		return errors.New("calls with a session cookie need the header " + CSRFHeader + " with the value that /login/session gives")
	}
	return nil
}

// fromOurs fails for a request that a page of another site makes.
func (d *Door) fromOurs(r *http.Request) error {
	foreign := errors.New("this request comes from a page of another site")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // none: the user typed it
	default:
		return foreign
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return nil
	}
	if len(origins) > 1 || !d.own(origins[0], r.Host) {
		return foreign
	}
	return nil
}

// own reports whether an Origin is that of the server. A plain one is of another site for
// cookies, unless it is this machine.
func (d *Door) own(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLocal(u.Hostname())) {
		return false
	}
	if sameHost(u.Host, host, u.Scheme) {
		return true
	}
	e, err := url.Parse(d.o.Endpoint)
	return err == nil && e.Host != "" && e.Scheme == u.Scheme && sameHost(u.Host, e.Host, u.Scheme)
}

// sameHost compares names and ports; that of the scheme may be left out.
func sameHost(a, b, scheme string) bool {
	return strings.EqualFold(withPort(a, scheme), withPort(b, scheme))
}

func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := map[string]string{"https": "443", "http": "80"}[scheme]
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// isLocal reports whether a host name is this machine.
func isLocal(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
