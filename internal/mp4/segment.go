package mp4

// Sample is a frame, in the order of decoding. Times are in the track's time scale.
type Sample struct {
	Size     uint32 // bytes, as they stand in the file
	Duration uint32 // until the next one is decoded
	Offset   int32  // presentation less decoding time
	Key      bool   // a decoder can begin here; every frame of sound is one
}

// Flags of samples (ISO/IEC 14496-12, 8.8.3.1).
const (
	syncSample  = 0x0200_0000 // it depends on no other
	otherSample = 0x0101_0000 // it does, and is no sync sample
)

// Flags of tfhd and trun (8.8.7, 8.8.8).
const (
	tfhdDuration = 0x08
	tfhdFlags    = 0x20
	tfhdBase     = 0x02_0000 // places count from the moof

	trunPlace    = 0x01
	trunFirst    = 0x04
	trunDuration = 0x100
	trunSize     = 0x200
	trunFlags    = 0x400
	trunOffset   = 0x800
)

// AppendHead appends what stands in front of a media segment's media: styp, moof and the
// head of mdat. The samples follow it without gaps. The 8 bytes at b[tfdt:] are the decode
// time of the first one, big-endian, in the track's time scale: to be written anew for
// whoever counts from another moment. Only b grows.
func AppendHead(dst []byte, sequence uint32, decode uint64, samples []Sample) (b []byte, tfdt int) {
	r := runOf(samples)
	b, at := begin(dst, "styp")
	b = u32(append(b, "msdh"...), 0)
	b = end(append(b, "msdhiso6"...), at)
	b, moof := begin(b, "moof")
	b, at = beginFull(b, "mfhd", 0, 0)
	b = end(u32(b, sequence), at)
	b, traf := begin(b, "traf")
	b = r.appendTfhd(b)
	b, at = beginFull(b, "tfdt", 1, 0)
	tfdt = len(b)
	b = end(u64(b, decode), at)
	b, place := r.appendTrun(b, samples)
	b = end(end(b, traf), moof)
	first := uint32(len(b) - moof + mdatHead(r.media))
	b[place], b[place+1], b[place+2], b[place+3] = byte(first>>24), byte(first>>16), byte(first>>8), byte(first)
	return appendMdat(b, r.media), tfdt
}

// run is what samples have in common, which is said once.
type run struct {
	media    uint64 // bytes of all
	flags    uint32 // of trun: what differs
	duration uint32 // the common one
	rest     uint32 // flags of all samples but the first
}

func runOf(samples []Sample) run {
	r := run{flags: trunPlace | trunSize, rest: syncSample}
	if len(samples) > 0 {
		r.duration = samples[0].Duration
	}
	if len(samples) > 1 {
		r.rest = samples[1].flags()
	}
	for i := range samples {
		s := &samples[i]
		r.media += uint64(s.Size)
		if s.Duration != r.duration {
			r.flags |= trunDuration
		}
		if s.Offset != 0 {
			r.flags |= trunOffset
		}
		switch {
		case s.flags() == r.rest:
		case i == 0:
			r.flags |= trunFirst
		default:
			r.flags |= trunFlags
		}
	}
	if r.flags&trunFlags != 0 {
		r.flags &^= trunFirst // either, not both
	}
	return r
}

func (s *Sample) flags() uint32 {
	if s.Key {
		return syncSample
	}
	return otherSample
}

func (r *run) appendTfhd(b []byte) []byte {
	b, at := beginFull(b, "tfhd", 0, tfhdBase|tfhdDuration|tfhdFlags)
	return end(u32(b, segmentTrack, r.duration, r.rest), at)
}

// appendTrun appends the samples; place is where the place of the first one goes.
func (r *run) appendTrun(b []byte, samples []Sample) (out []byte, place int) {
	b, at := beginFull(b, "trun", 1, r.flags)
	b = u32(b, uint32(len(samples)))
	place = len(b)
	b = u32(b, 0)
	if r.flags&trunFirst != 0 {
		b = u32(b, samples[0].flags())
	}
	for i := range samples {
		s := &samples[i]
		if r.flags&trunDuration != 0 {
			b = u32(b, s.Duration)
		}
		b = u32(b, s.Size)
		if r.flags&trunFlags != 0 {
			b = u32(b, s.flags())
		}
		if r.flags&trunOffset != 0 {
			b = u32(b, uint32(s.Offset))
		}
	}
	return end(b, at), place
}
