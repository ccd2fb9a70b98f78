package flac

import "math/bits"

// Kinds of subframes (RFC 9639, section 9.2.1), as the six bits of their headers.
const (
	constantKind = 0
	verbatimKind = 1
	fixedKind    = 8 // and the order of the predictor
	maxOrder     = 4
	maxRice      = 14 // 15 is an escape
)

// subframeHeader is the length of a subframe's header in bits: one of padding, six of
// kind, one that says that bits are wasted, and how many, in unary.
func (l Law) subframeHeader() int { return 8 + l.wasted() }

func (e *Encoder) writeHeader(w *bitWriter, kind int) {
	w.write(uint64(kind)<<1|1, 8)
	w.write(1, e.law.wasted())
}

// verbatim writes the values as they are.
func (e *Encoder) verbatim(w *bitWriter) {
	e.writeHeader(w, verbatimKind)
	for _, v := range e.values {
		w.signed(v, e.law.bits())
	}
}

// subframe writes the values in the way that is shortest.
func (e *Encoder) subframe(w *bitWriter) {
	if e.constant() {
		e.writeHeader(w, constantKind)
		w.signed(e.values[0], e.law.bits())
		return
	}
	order := e.bestOrder()
	residual := e.predict(order)
	rice, size := bestRice(residual)
	if size+order*e.law.bits()+riceHeader >= len(e.values)*e.law.bits() {
		e.verbatim(w)
		return
	}
	e.writeHeader(w, fixedKind+order)
	for _, v := range e.values[:order] {
		w.signed(v, e.law.bits())
	}
	w.write(uint64(rice), riceHeader) // method 0 of 2 bits, 2^0 partitions in 4 bits, the parameter
	for _, r := range residual {
		w.rice(zigzag(r), rice)
	}
}

// riceHeader is what stands in front of the residual, in bits.
const riceHeader = 2 + 4 + 4

func (e *Encoder) constant() bool {
	for _, v := range e.values {
		if v != e.values[0] {
			return false
		}
	}
	return true
}

// bestOrder returns the order of the fixed predictor (section 9.2.5) that leaves least,
// by the sum of what it leaves: the predictor of order n is the n-th difference.
func (e *Encoder) bestOrder() (best int) {
	if len(e.values) <= maxOrder {
		return 0
	}
	var sums [maxOrder + 1]int64
	var before [maxOrder]int32
	for i, v := range e.values {
		for order := range before {
			if i >= maxOrder {
				sums[order] += int64(abs(v))
			}
			before[order], v = v, v-before[order]
		}
		if i >= maxOrder {
			sums[maxOrder] += int64(abs(v))
		}
	}
	for order, sum := range sums {
		if sum < sums[best] {
			best = order
		}
	}
	return best
}

// predict returns what a predictor leaves of the values.
func (e *Encoder) predict(order int) []int32 {
	e.residual = append(e.residual[:0], e.values...)
	for n := range order {
		for i := len(e.residual) - 1; i > n; i-- {
			e.residual[i] -= e.residual[i-1]
		}
	}
	return e.residual[order:]
}

// bestRice returns the parameter that codes the residual shortest, and the bits it takes then.
// The best one lies near the logarithm of the mean.
func bestRice(residual []int32) (rice, size int) {
	var sum uint64
	for _, r := range residual {
		sum += uint64(zigzag(r))
	}
	guess := bits.Len64(sum / uint64(len(residual)))
	for k := max(guess-2, 0); k <= min(guess, maxRice); k++ {
		n := len(residual) * (1 + k)
		for _, r := range residual {
			n += int(zigzag(r) >> k)
		}
		if size == 0 || n < size {
			rice, size = k, n
		}
	}
	return rice, size
}

// zigzag makes small numbers of both signs small numbers.
func zigzag(v int32) uint32 { return uint32(v<<1) ^ uint32(v>>31) }

func abs(v int32) int32 { return max(v, -v) }
