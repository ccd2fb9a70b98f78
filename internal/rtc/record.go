package rtc

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pion/rtp/codecs"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/mkv"
)

// The tracks of a recording.
const (
	videoTrack = 1
	soundTrack = 2
)

const (
	clusterTime  = 5 * time.Second  // a cluster without a key frame lasts no longer
	soundAhead   = 10 * time.Second // of sound that waits for the first picture
	maxSoundWait = 4000             // packets
)

// recorder writes what comes to Matroska. Times are those of the viewer's clock; the first
// frame has time 0. The header is written with the first frame of which enough is known: with
// pictures, the first key frame.
type recorder struct {
	mu      sync.Mutex // over the rest
	w       io.Writer  // nil = nothing is written, all is counted
	err     error      // of w; final
	video   bool       // pictures are expected
	sound   bool
	begun   bool
	start   time.Time
	cluster time.Duration // where the current one begins; -1 = there is none
	last    [3]time.Duration
	waiting []sample // of sound, before the first key frame
	config  []byte   // avcC record
	needKey bool     // pictures are passed over until the next key frame

	frames, keys, packets, bytes int64
}

// sample is a frame and when it is shown.
type sample struct {
	at   time.Time
	data []byte
}

func newRecorder(w io.Writer) *recorder { return &recorder{w: w, cluster: -1, needKey: true} }

// expect says which media will come. A recording that has begun keeps its tracks.
func (r *recorder) expect(video, sound bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.needKey = true
	if !r.begun {
		r.video, r.sound = video, sound
	}
}

// picture takes a frame of H.264. It says whether a key frame must come before anything can
// be used.
func (r *recorder) picture(at time.Time, p picture) (needKey bool, err error) {
	frame, sets, key := units(p.payloads)
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.broken {
		r.needKey = true
	}
	if key && len(sets) == 0 && r.config == nil {
		key = false // it cannot be decoded
	}
	if r.needKey && !key || len(frame) == 0 {
		return r.needKey, r.err
	}
	r.needKey = false
	if key {
		r.keys++
		frame = r.configure(frame, sets)
	}
	r.frames++
	r.bytes += int64(len(frame))
	if !r.begun {
		r.begin(at)
	}
	if r.video {
		r.write(videoTrack, at, key, frame)
	}
	return false, r.err
}

// configure takes the parameter sets of the first key frame for the header. Others stay in
// their frame, where decoders find them.
func (r *recorder) configure(frame []byte, sets [][]byte) []byte {
	if len(sets) == 0 {
		return frame
	}
	config := record(sets)
	if r.config == nil {
		r.config = config
	}
	if bytes.Equal(config, r.config) {
		return frame
	}
	var b []byte
	for _, s := range sets {
		b = appendLength(b, s)
	}
	return append(b, frame...)
}

// packet takes a packet of Opus.
func (r *recorder) packet(at time.Time, p picture) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, data := range p.payloads {
		r.packets++
		r.bytes += int64(len(data))
		switch {
		case !r.begun && r.video:
			r.waiting = append(r.waiting, sample{at, data})
			if len(r.waiting) > maxSoundWait || at.Sub(r.waiting[0].at) > soundAhead {
				r.waiting = r.waiting[1:]
			}
			continue
		case !r.begun:
			r.begin(at)
		}
		if r.sound {
			r.write(soundTrack, at, true, data)
		}
	}
	return r.err
}

// begin writes the header; the recording begins at the moment at. Sound that is older than
// the first picture is left out.
func (r *recorder) begin(at time.Time) {
	r.begun, r.start = true, at
	if r.w == nil {
		return
	}
	b := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska", DocTypeVersion: 4, DocTypeReadVersion: 2})
	b = mkv.AppendSegmentUnknown(b)
	b = mkv.AppendInfo(b, &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "Millrace", WritingApp: "Millrace"})
	var tracks []mkv.Track
	if r.video {
		t := mkv.Track{Number: videoTrack, UID: videoTrack, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC", CodecPrivate: r.config}
		if c, err := codec.Of(&t); err == nil {
			t.Video = &mkv.Video{PixelWidth: uint64(c.Width), PixelHeight: uint64(c.Height)}
		}
		tracks = append(tracks, t)
	}
	if r.sound {
		tracks = append(tracks, mkv.Track{Number: soundTrack, UID: soundTrack, Type: mkv.AudioTrack, CodecID: "A_OPUS",
			CodecPrivate: opusHeader(), Audio: &mkv.Audio{SamplingFrequency: soundClock, Channels: 2}})
	}
	r.put(mkv.AppendTracks(b, tracks))
	waiting := r.waiting
	r.waiting = nil
	for _, s := range waiting {
		if !s.at.Before(at) {
			r.write(soundTrack, s.at, true, s.data)
		}
	}
}

// write writes a frame, in a new cluster when it is time for one.
func (r *recorder) write(track uint64, at time.Time, key bool, data []byte) {
	t := max(at.Sub(r.start), r.last[track], 0)
	r.last[track] = t
	rel := t - r.cluster
	if r.cluster < 0 || track == videoTrack && key || rel > clusterTime || rel < -clusterTime {
		r.cluster = t.Truncate(time.Millisecond)
		r.put(mkv.AppendClusterUnknown(nil, uint64(r.cluster.Milliseconds())))
	}
	head := mkv.BlockHeader{Track: track, Time: int16(t.Milliseconds() - r.cluster.Milliseconds()), Key: key}
	r.put(mkv.AppendSimpleBlock(nil, head, data))
}

func (r *recorder) put(b []byte) {
	if r.w == nil || r.err != nil {
		return
	}
	if _, err := r.w.Write(b); err != nil {
		r.err = fmt.Errorf("writing the recording: %w", err)
	}
}

// units takes the packets of an access unit apart (RFC 6184): its NAL units with lengths in
// front, without parameter sets and delimiters, and the parameter sets.
func units(payloads [][]byte) (frame []byte, sets [][]byte, key bool) {
	depacketizer := codecs.H264Packet{IsAVC: true}
	for _, payload := range payloads {
		b, err := depacketizer.Unmarshal(payload)
		if err != nil {
			continue // a unit of a kind that was not agreed on
		}
		for len(b) > 4 {
			size := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
			if size == 0 || size > len(b)-4 {
				break
			}
			unit := b[4 : 4+size]
			b = b[4+size:]
			switch t := unitType(unit); t {
			case unitSPS, unitPPS:
				sets = append(sets, unit)
			case unitDelimiter:
			default:
				key = key || t == unitIDR
				frame = appendLength(frame, unit)
			}
		}
	}
	return frame, sets, key
}

func appendLength(b, unit []byte) []byte {
	n := len(unit)
	return append(append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), unit...)
}

// record makes an avcC record of parameter sets; nil when there are not both kinds.
func record(sets [][]byte) []byte {
	var private []byte
	for _, s := range sets {
		private = appendUnit(private, s)
	}
	c, err := codec.Of(&mkv.Track{CodecID: "V_MPEG4/ISO/AVC", CodecPrivate: private})
	if err != nil {
		return nil
	}
	return c.Config
}

// opusHeader is the private data of Opus (RFC 7845, section 5.1): two channels, nothing to
// skip, as RTP has no beginning.
func opusHeader() []byte {
	return []byte{'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, 2, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0}
}
