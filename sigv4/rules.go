package sigv4

import (
	"slices"
	"strings"
	"time"
)

// The limits in time, unless Rules says otherwise.
const (
	DefaultWindow  = 5 * time.Minute    // wire-media section 2.5
	DefaultExpires = 7 * 24 * time.Hour // the C signaling client asks for this much
)

// Rules say which signatures a server takes. The zero value takes any region and
// service with the real service's limits in time.
type Rules struct {
	Regions  []string         // empty = any
	Services []string         // empty = any
	Window   time.Duration    // allowed distance of the clocks; 0 = DefaultWindow
	Expires  time.Duration    // longest life of a presigned URL; 0 = DefaultExpires
	Now      func() time.Time // nil = time.Now
}

// Check says whether a's scope and time are acceptable. It proves nothing about the
// signature.
func (r *Rules) Check(a *Auth) error {
	if len(r.Regions) > 0 && !slices.Contains(r.Regions, a.Region) {
		return refuse(WrongRegion, "Credential should be scoped to a valid region, not '%s'. The region here is %s.", a.Region, quoted(r.Regions))
	}
	if len(r.Services) > 0 && !slices.Contains(r.Services, a.Service) {
		return refuse(WrongService, "Credential should be scoped to correct service: %s, not '%s'.", quoted(r.Services), a.Service)
	}
	return r.checkTime(a)
}

// checkTime: a signature is good from one window before its time of signing until one
// window after it, a presigned URL until it expires.
func (r *Rules) checkTime(a *Auth) error {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	window, longest := or(r.Window, DefaultWindow), or(r.Expires, DefaultExpires)
	if a.Expires > longest {
		return refuse(IncompleteSignature, "X-Amz-Expires must be at most %d seconds, not %d.", longest/time.Second, a.Expires/time.Second)
	}
	t, life := now(), or(a.Expires, window)
	switch {
	case a.Time.Before(t.Add(-life)):
		return expired(a.Time, t, life)
	case a.Time.After(t.Add(window)):
		return early(a.Time, t, window)
	}
	return nil
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func quoted(names []string) string { return "'" + strings.Join(names, "' or '") + "'" }
