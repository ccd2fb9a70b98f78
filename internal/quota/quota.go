// Package quota says yes, or how long to wait.
//
// It holds the one table of limits ([Table]): every quota of the service with its values in
// the two profiles, also those of rooms that are not built yet. A [Book] knows which
// values are in force for each account and stream, and what was used of them: requests a
// second and quota points ([Book.Allow], [Book.Points]), connections ([Book.Connect]),
// bandwidths ([View.Flow]). What a room checks by itself it asks for through a [View].
// Beside the limits stands the memory budget of the whole server ([Budget]).
//
// Nothing here knows what is asked for, only how much. Everything may be used from many
// goroutines where it does not say otherwise; the package starts none.
package quota

import "fmt"

//go:generate go test -run ^TestLimitsPage$ -update .

// Profile names a set of defaults.
type Profile string

// The profiles. Open keeps only what protects the server; AWS is exactly the limits
// sheet.
const (
	Open Profile = "open"
	AWS  Profile = "aws"
)

// Check fails on a profile that there is not; none at all is Open.
func (p Profile) Check() error {
	if p != Open && p != AWS && p != "" {
		return fmt.Errorf("unknown profile %q: use %q or %q", string(p), Open, AWS)
	}
	return nil
}
