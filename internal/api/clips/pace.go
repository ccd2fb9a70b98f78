package clips

import (
	"errors"
	"io"
	"time"
)

// leastRate is how many bytes a second a consumer must take of a clip: less than any link
// has over which somebody would want one. A clip that is being sent holds its layout and two
// fragments, for which others wait.
const leastRate = 32_000

var errSlow = errors.New("the consumer takes less than 32 kB a second")

// paced writes as long as its consumer takes them fast enough.
type paced struct {
	out   io.Writer
	since time.Time
	grace time.Duration // in which it need not take anything
	bytes int64
}

// Write implements [io.Writer].
func (p *paced) Write(b []byte) (int, error) {
	if late := time.Since(p.since) - p.grace; late > 0 && float64(p.bytes) < leastRate*late.Seconds() {
		return 0, errSlow
	}
	n, err := p.out.Write(b)
	p.bytes += int64(n)
	return n, err
}
