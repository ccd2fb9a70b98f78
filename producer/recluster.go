package producer

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/mkv"
)

// Reclusterer reads Matroska and gives it out so that each cluster begins with a video
// key frame and lasts 1 to 20 seconds. A cluster that is so already comes out byte for
// byte. Others are taken apart: their blocks come out one after the other in clusters of
// unknown size that begin at key frames, or every 2 seconds where there is no video.
// Of a block only its relative time changes; frames, lacing, flags, durations, references
// and discard padding stay. CRC-32, Void, PrevSize and Position of such clusters and
// Cues behind them are left out, since they speak of bytes that are no more.
//
// A Segment of known size comes out with an unknown size. Frames without a key frame
// for longer than 20 seconds are cut anywhere, because the server takes no longer ones.
// The last cluster may be shorter than 1 second. One document is accepted, not several
// in a row.
//
// The input may be a pipe that never ends. A cluster of unknown size comes out while it
// comes in. One of known size waits until the first video frame of the next cluster
// shows that it may stay: this delays it by one cluster at most, and the memory for it is
// bounded by Limits.Hold. When the input ends inside an element, the whole frames before
// it come out before the error.
type Reclusterer struct {
	src    *mkv.Reader
	limits Limits
	out    []byte // what Read gives out, from taken on
	taken  int
	err    error

	scale uint64 // nanoseconds in one timecode unit
	lead  uint64 // number of the track that decides, 0 = any
	video bool   // the lead is a video track
	spans spans

	state   state
	next    *cluster // the cluster that comes in while undecided, later its current unit
	held    *cluster // of known size, waits for the next one; nil = none
	spare   *cluster
	between elements // of level 1, behind held or behind what came out
	stash   elements // tags for the next cluster that is cut
	skip    bool     // further pieces of the current element are left out

	output
	rhythm
	changed int
	keyless int
}

// spans are the Limits in timecode units.
type spans struct{ shortest, longest, cut int64 }

// output is the last cluster that came out.
type output struct {
	began bool  // there is one
	open  bool  // it has an unknown size: more blocks may follow
	start int64 // its timecode
}

// state is what becomes of a cluster that comes in.
type state uint8

const (
	outside   state = iota // none is open
	undecided              // its first lead block has not come yet
	holding                // kept until the next cluster is known
	passing                // comes out as it is
	cutting                // its blocks come out in clusters of our own
)

// NewReclusterer returns a Reclusterer of src.
func NewReclusterer(src io.Reader, l Limits) *Reclusterer {
	l = l.orDefaults()
	r := &Reclusterer{limits: l, scale: uint64(time.Millisecond), next: &cluster{}, spare: &cluster{},
		src: mkv.NewReader(src, mkv.Options{Buffer: 64 << 10, MaxFrame: int64(l.Hold)})}
	r.spans = l.spans(r.scale, false)
	return r
}

// Changed is how many clusters of the input have been taken apart so far.
func (r *Reclusterer) Changed() int { return r.changed }

// Keyless is how many clusters were cut without a video key frame so far, because none
// came for as long as a cluster may last.
func (r *Reclusterer) Keyless() int { return r.keyless }

// Read gives out Matroska. Its errors are those of [mkv.Reader.Next].
func (r *Reclusterer) Read(p []byte) (int, error) {
	for r.taken == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		r.taken, r.out = 0, r.out[:0]
		r.err = r.step()
	}
	n := copy(p, r.out[r.taken:])
	r.taken += n
	return n, nil
}

// step handles one item, or the end.
func (r *Reclusterer) step() error {
	it, err := r.src.Next()
	switch {
	case err != nil:
		r.finish(err == io.EOF)
		return err
	case it.Kind == mkv.ClusterStart:
		r.begin(it)
	case it.InCluster:
		r.inside(it)
	case r.state == outside && !r.began && r.held == nil && len(r.between) == 0:
		r.head(it)
	default:
		return r.afterCluster(it)
	}
	return nil
}

// head handles what stands before the first cluster.
func (r *Reclusterer) head(it *mkv.Item) {
	switch it.Kind {
	case mkv.InfoElement:
		r.scale = it.Info.TimecodeScale
	case mkv.TracksElement:
		r.lead, r.video = leadTrack(it.Tracks)
	}
	r.spans = r.limits.spans(r.scale, r.video)
	if it.Kind == mkv.SegmentStart && it.Size >= 0 {
		r.out = mkv.AppendSegmentUnknown(r.out)
		return
	}
	r.out = append(r.out, it.Raw...)
}

// leadTrack finds the track whose frames decide: the first of video, else the first.
func leadTrack(tracks []mkv.Track) (number uint64, video bool) {
	for _, t := range tracks {
		if t.Type == mkv.VideoTrack {
			return t.Number, true
		}
	}
	if len(tracks) > 0 {
		return tracks[0].Number, false
	}
	return 0, false
}

// begin handles the head of a cluster.
func (r *Reclusterer) begin(it *mkv.Item) {
	if r.state == undecided {
		r.decide(false)
	}
	r.state = undecided
	r.next.reset()
	r.next.add(it)
}

// inside handles an item of a cluster.
func (r *Reclusterer) inside(it *mkv.Item) {
	fresh := !continues(it)
	switch {
	case r.state == undecided && fresh && r.next.cost() > r.limits.Hold:
		r.decide(false)
	case r.state == holding && fresh && r.held.cost() > r.limits.Hold:
		r.dissolveHeld()
		r.state = cutting
	}
	switch r.state {
	case undecided:
		r.next.add(it)
		if u := r.next.last(); r.leads(u) && !(u.group && r.next.open) {
			r.decide(u.key || !r.video)
		}
	case holding:
		r.held.add(it)
	default:
		r.live(it)
	}
}

// leads says whether a unit has a block of the track that decides.
func (r *Reclusterer) leads(u *unit) bool {
	return u.block && (r.lead == 0 || u.track == r.lead)
}

// live handles an item of a cluster that comes out while it comes in.
func (r *Reclusterer) live(it *mkv.Item) {
	if it.Cont && !it.InGroup {
		if !r.skip {
			r.out = append(r.out, it.Raw...)
		}
		return
	}
	if !continues(it) {
		r.next.reset()
	}
	r.next.add(it)
	if u := r.next.last(); !u.group || !r.next.open {
		r.emit(u, r.next.bytes(u))
		r.next.reset()
	}
}

// afterCluster handles an element of level 1 behind a cluster.
func (r *Reclusterer) afterCluster(it *mkv.Item) error {
	if it.Kind == mkv.EBML || it.Kind == mkv.SegmentStart {
		r.finish(true)
		return fmt.Errorf("a second document begins at byte %d; a session carries one", it.Offset)
	}
	if r.state == undecided {
		r.decide(false)
	}
	r.state = outside
	r.between.add(it)
	if r.between.cost()+r.stash.cost() > r.limits.Hold {
		return errBetween
	}
	return nil
}

// errBetween: what lies between two clusters is held until the next cluster is known.
var errBetween = errors.New("the elements between two clusters are longer than a fragment may be")
