package cut

import (
	"testing"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/mp4"
	"github.com/millrace/millrace/internal/remux"
)

// No picture is shown before it is decoded, and none is decoded before the one in front
// of it, whatever the codec says: here sixty thousand come in the reverse order.
func TestDecodeTimesOfAnyOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2, 60_000} {
		p := remux.Part{Track: &codec.Track{Reorder: 2}, Length: int64(n) * 3000}
		for i := range n {
			p.Samples = append(p.Samples, mp4.Sample{Duration: 3000, Offset: int32(n-1-2*i) * 3000})
		}
		all, at := moved(&p), int64(0)
		for i, s := range p.Samples {
			if all[i] > at+int64(s.Offset) || i > 0 && all[i] <= all[i-1] {
				t.Fatalf("picture %d of %d is decoded at %d, shown at %d", i, n, all[i], at+int64(s.Offset))
			}
			at += int64(s.Duration)
		}
	}
}
