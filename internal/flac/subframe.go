package flac

// Plain subframes are the only ones used (RFC 9639, section 9.2.1).
const plainKind = 1

// subframeHeader is the length of a subframe's header in bits: one of padding, six of
// kind, one that says that bits are wasted, and how many, in unary.
func (l Law) subframeHeader() int { return 8 + l.wasted() }

// subframe writes the values of one channel of a frame.
func (e *Encoder) subframe(w *bitWriter, codes []byte, channel int) {
	w.write(plainKind<<1|1, 8)
	w.write(1, e.law.wasted())
	of, bits := &values[e.law], e.law.bits()
	for i := channel; i < len(codes); i += e.channels {
		w.write(uint64(of[codes[i]]), bits)
	}
}
