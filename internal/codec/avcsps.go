package codec

// avcSequence is what playback wants of a sequence parameter set (ISO/IEC 14496-10,
// 7.3.2.1.1 and E.1.1).
type avcSequence struct {
	width, height int
	rate          float64 // frames a second, 0 = not said
	reorder       int
	chroma        byte // chroma_format_idc
	luma, depth   byte // bit depths of luma and chroma, less 8
}

// avcHigh reports whether sets of a profile have the fields of the high profiles.
func avcHigh(profile byte) bool {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

// parseAVC reads a sequence parameter set. What cannot be read of its usability
// information, which nobody needs for decoding, is as if it were not there.
func parseAVC(nal []byte) (s avcSequence, ok bool) {
	b := unescape(nal)
	if len(b) < 5 {
		return s, false
	}
	profile, flags, level := b[1], b[2], b[3]
	r := &bitReader{b: b, at: 32}
	r.ue() // its id
	s.chroma = 1
	if avcHigh(profile) && !s.high(r) {
		return s, false
	}
	r.ue() // size of frame numbers
	order := r.ue()
	if !avcOrder(r, order) {
		return s, false
	}
	references := r.ue()
	r.flag() // gaps in frame numbers
	blocks, ok := s.size(r)
	if !ok || r.short || references > 16 {
		return s, false
	}
	intra := flags&0x10 != 0 && (profile == 44 || profile == 86 || profile >= 100)
	if order == 2 || profile == 66 || intra {
		s.reorder = 0 // decoded as shown
	} else {
		s.reorder = min(int(references), avcBuffer(level, flags, profile, blocks))
	}
	if r.flag() {
		s.usability(r)
	}
	return s, true
}

// high reads the fields that only high profiles have.
func (s *avcSequence) high(r *bitReader) bool {
	chroma := r.ue()
	if chroma == 3 {
		r.flag()
	}
	luma, depth := r.ue(), r.ue()
	r.flag()
	if r.short || chroma > 3 || luma > 6 || depth > 6 {
		return false
	}
	s.chroma, s.luma, s.depth = byte(chroma), byte(luma), byte(depth)
	if !r.flag() {
		return true
	}
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if r.flag() {
			skipScaling(r, i)
		}
	}
	return !r.short
}

// skipScaling reads over a scaling list (7.3.2.1.1.1).
func skipScaling(r *bitReader, list int) {
	n := 16
	if list >= 6 {
		n = 64
	}
	last, next := int64(8), int64(8)
	for range n {
		if next != 0 {
			next = (last + r.se() + 256) & 255
		}
		if next != 0 {
			last = next
		}
	}
}

// avcOrder reads over how the order of pictures is told.
func avcOrder(r *bitReader, kind uint32) bool {
	switch kind {
	case 0:
		r.ue()
	case 1:
		r.flag()
		r.se()
		r.se()
		n := r.ue()
		if n > 255 {
			return false
		}
		for range n {
			r.se()
		}
	}
	return kind <= 2
}

// size reads the picture's size and cropping. It returns how many macroblocks a frame has.
func (s *avcSequence) size(r *bitReader) (blocks int, ok bool) {
	w, h := int64(r.ue())+1, int64(r.ue())+1
	fields := int64(1)
	if !r.flag() {
		fields = 2
		r.flag()
	}
	r.flag()
	blocks = int(w * h * fields) // products of what is refused below may be anything
	width, height := 16*w, 16*h*fields
	if r.flag() {
		x, y := int64(1), fields
		if s.chroma == 1 || s.chroma == 2 {
			x = 2
		}
		if s.chroma == 1 {
			y *= 2
		}
		width -= x * (int64(r.ue()) + int64(r.ue()))
		height -= y * (int64(r.ue()) + int64(r.ue()))
	}
	if w > maxSide/16 || h > maxSide/16 || width <= 0 || height <= 0 || height > maxSide {
		return 0, false
	}
	s.width, s.height = int(width), int(height)
	return blocks, true
}

// avcBuffer is how many frames the decoded picture buffer of a level holds (table A-1,
// A.3.1).
func avcBuffer(level, flags, profile byte, blocks int) int {
	if level == 11 && flags&0x10 != 0 && (profile == 66 || profile == 77 || profile == 88) {
		level = 9 // 1b
	}
	room := 696320
	for _, l := range []struct {
		level byte
		room  int // macroblocks
	}{{10, 396}, {11, 900}, {20, 2376}, {21, 4752}, {30, 8100}, {31, 18000}, {32, 20480}, {41, 32768}, {42, 34816}, {50, 110400}, {52, 184320}} {
		if level <= l.level {
			room = l.room
			break
		}
	}
	return min(room/blocks, 16)
}

// usability reads rate and reordering from the usability information.
func (s *avcSequence) usability(r *bitReader) {
	skipPicture(r)
	if r.flag() {
		tick, scale := r.u(32), r.u(32)
		r.flag()
		if tick > 0 && !r.short {
			s.rate = float64(scale) / float64(tick) / 2 // a tick is a field
		}
	}
	nal := r.flag() && skipAVCDecoder(r)
	vcl := r.flag() && skipAVCDecoder(r)
	if nal || vcl {
		r.flag()
	}
	r.flag() // structure of pictures
	if !r.flag() {
		return
	}
	r.flag()
	for range 4 {
		r.ue()
	}
	if n := r.ue(); !r.short && n <= 16 {
		s.reorder = int(n)
	}
}

// skipAVCDecoder reads over the parameters of a hypothetical reference decoder (E.1.2).
func skipAVCDecoder(r *bitReader) bool {
	n := r.ue()
	r.u(8)
	if n > 31 {
		r.short = true
	}
	for i := uint32(0); i <= n && !r.short; i++ {
		r.ue()
		r.ue()
		r.flag()
	}
	r.u(20)
	return true
}

// skipPicture skips the beginning of the usability information, which H.264 and H.265 share:
// how a picture is to be shown.
func skipPicture(r *bitReader) {
	if r.flag() && r.u(8) == 255 { // aspect ratio
		r.u(32)
	}
	if r.flag() { // overscan
		r.flag()
	}
	if r.flag() { // kind of signal
		r.u(4)
		if r.flag() {
			r.u(24)
		}
	}
	if r.flag() { // place of chroma samples
		r.ue()
		r.ue()
	}
}
