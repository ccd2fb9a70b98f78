package mkv

// Header is the EBML header of a document (RFC 8794 section 11.2).
type Header struct {
	Version            uint64 // EBMLVersion, default 1
	ReadVersion        uint64 // EBMLReadVersion, default 1
	MaxIDLength        uint64 // longest element id in bytes, default 4
	MaxSizeLength      uint64 // longest element size in bytes, default 8
	DocType            string // "matroska" or "webm"
	DocTypeVersion     uint64 // default 1
	DocTypeReadVersion uint64 // default 1
}

// Info is a segment's general information (RFC 9559 section 5.1.2).
type Info struct {
	TimecodeScale uint64  // nanoseconds in one timecode unit, default 1,000,000; never 0
	Duration      float64 // in timecode units, 0 when not given
	SegmentUID    []byte  // 16 bytes when given
	Title         string
	MuxingApp     string
	WritingApp    string
}

// TrackType is what a track carries (RFC 9559 section 5.1.4.1.3).
type TrackType uint8

// The track types live video uses; others pass through as their number.
const (
	VideoTrack    TrackType = 1
	AudioTrack    TrackType = 2
	SubtitleTrack TrackType = 17
	MetadataTrack TrackType = 33
)

// Track describes one track (RFC 9559 section 5.1.4).
type Track struct {
	Number          uint64 // the number blocks carry, 1 or more
	UID             uint64
	Type            TrackType
	CodecID         string // such as "V_MPEG4/ISO/AVC"
	CodecPrivate    []byte // such as an AVCDecoderConfigurationRecord; nil when absent
	Name            string
	Language        string // "" when absent (RFC 9559 then means "eng")
	DefaultDuration uint64 // nanoseconds per frame, 0 when not given
	Video           *Video // nil when absent
	Audio           *Audio // nil when absent
}

// Video is the picture part of a track (RFC 9559 section 5.1.4.1.28).
type Video struct {
	PixelWidth, PixelHeight uint64
}

// Audio is the sound part of a track (RFC 9559 section 5.1.4.1.29).
type Audio struct {
	SamplingFrequency float64 // hertz, default 8000
	Channels          uint64  // default 1
	BitDepth          uint64  // 0 when not given
}

// Tag is one Tag element (RFC 9559 section 5.1.8.1): what it is about and its
// names and values.
type Tag struct {
	Targets *Targets // nil when the element has none: the whole segment
	Simple  []SimpleTag
}

// Targets says what a Tag is about (RFC 9559 section 5.1.8.1.1).
type Targets struct {
	TypeValue uint64   // 50 (whole movie) when absent or 0
	Type      string   // such as "MOVIE"; "" when absent
	TrackUIDs []uint64 // the tracks the tag is about; empty means all
}

// SimpleTag is a name with a text or binary value, and tags about it.
type SimpleTag struct {
	Name     string
	Value    string
	Language string // "" when absent (RFC 9559 then means "und")
	Binary   []byte // nil when the value is text
	Nested   []SimpleTag
}
