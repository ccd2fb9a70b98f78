package codec

// hevcSequence is what playback wants of a sequence parameter set (ISO/IEC 23008-2,
// 7.3.2.2 and E.2.1).
type hevcSequence struct {
	profile        [12]byte // profile space to level
	layers, nested byte     // temporal sub-layers; 1 if they nest
	chroma         byte     // chroma_format_idc
	luma, depth    byte     // bit depths of luma and chroma, less 8
	width, height  int
	reorder        int
	rate           float64 // frames a second, 0 = not said
}

// parseHEVC reads a sequence parameter set as far as a decoder must, and the rate behind
// that if it can be read.
func parseHEVC(nal []byte) (s hevcSequence, ok bool) {
	b := unescape(nal)
	if len(b) < 15 || b[0]>>1&0x3F != hevcSPS {
		return s, false
	}
	copy(s.profile[:], b[3:])
	r := &bitReader{b: b, at: 20}
	below := r.u(3)
	s.layers, s.nested = byte(below+1), byte(r.u(1))
	if below > 6 {
		return s, false
	}
	r.skip(96)
	skipLayers(r, below)
	r.ue() // its id
	if !s.size(r) {
		return s, false
	}
	order := r.ue() + 4 // bits of a picture's place in the order
	first := below
	if r.flag() {
		first = 0
	}
	for ; first <= below; first++ {
		r.ue()
		reorder := r.ue()
		r.ue()
		if reorder > 16 {
			return s, false
		}
		s.reorder = int(reorder)
	}
	if r.short || order > 16 {
		return s, false
	}
	s.rate = hevcRate(r, order)
	return s, true
}

// skipLayers reads over profiles and levels of the sub-layers (7.3.3).
func skipLayers(r *bitReader, below uint32) {
	if below == 0 {
		return
	}
	present := r.u(16)
	for i := range below {
		if present>>(15-2*i)&1 == 1 {
			r.skip(88)
		}
		if present>>(14-2*i)&1 == 1 {
			r.skip(8)
		}
	}
}

// size reads chroma format, size, cropping and depths.
func (s *hevcSequence) size(r *bitReader) bool {
	chroma := r.ue()
	if chroma == 3 {
		r.flag()
	}
	width, height := int64(r.ue()), int64(r.ue())
	if width > maxSide || height > maxSide {
		return false
	}
	if r.flag() {
		x, y := int64(1), int64(1)
		if chroma == 1 || chroma == 2 {
			x = 2
		}
		if chroma == 1 {
			y = 2
		}
		width -= x * (int64(r.ue()) + int64(r.ue()))
		height -= y * (int64(r.ue()) + int64(r.ue()))
	}
	luma, depth := r.ue(), r.ue()
	if r.short || chroma > 3 || luma > 8 || depth > 8 || width <= 0 || height <= 0 {
		return false
	}
	s.chroma, s.luma, s.depth = byte(chroma), byte(luma), byte(depth)
	s.width, s.height = int(width), int(height)
	return true
}

// hevcRate reads on to the usability information and takes the rate from it.
func hevcRate(r *bitReader, order uint32) float64 {
	for range 6 { // sizes of blocks
		r.ue()
	}
	if lists := r.flag(); lists && r.flag() {
		skipLists(r)
	}
	r.u(2)
	if r.flag() { // samples as they are
		r.u(8)
		r.ue()
		r.ue()
		r.flag()
	}
	if !skipReferences(r) {
		return 0
	}
	if r.flag() {
		n := r.ue()
		for i := uint32(0); i < n && !r.short; i++ {
			r.u(int(order) + 1)
		}
	}
	r.u(2)
	if !r.flag() || r.short {
		return 0
	}
	return usabilityRate(r)
}

// skipLists reads over scaling lists (7.3.4).
func skipLists(r *bitReader) {
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for matrix := 0; matrix < 6 && !r.short; matrix += step {
			if !r.flag() {
				r.ue()
				continue
			}
			n := min(64, 16<<(2*size))
			if size > 1 {
				r.se()
			}
			for range n {
				r.se()
			}
		}
	}
}

// skipReferences reads over the sets of reference pictures (7.3.7). A set may be told as a
// difference to the one before, for which only the size of that counts.
func skipReferences(r *bitReader) bool {
	sets := r.ue()
	if sets > 64 {
		return false
	}
	size := uint32(0)
	for i := range sets {
		if i > 0 && r.flag() {
			r.flag()
			r.ue()
			kept := uint32(0)
			for range size + 1 {
				used := r.flag()
				if used || r.flag() {
					kept++
				}
			}
			size = kept
		} else {
			before, after := r.ue(), r.ue()
			if before > 16 || after > 16 {
				return false
			}
			size = before + after
			for range size {
				r.ue()
				r.flag()
			}
		}
		if r.short || size > 32 {
			return false
		}
	}
	return true
}

// usabilityRate reads the usability information as far as the rate.
func usabilityRate(r *bitReader) float64 {
	skipPicture(r)
	r.u(3)
	if r.flag() { // window
		for range 4 {
			r.ue()
		}
	}
	if !r.flag() {
		return 0
	}
	tick, scale := r.u(32), r.u(32)
	if tick == 0 || r.short {
		return 0
	}
	return float64(scale) / float64(tick)
}
