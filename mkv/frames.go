package mkv

// Frame is one coded frame.
type Frame struct {
	Track       uint64 // track number
	Timecode    int64  // cluster's plus relative, in timecode units; may be negative
	Duration    int64  // its share of the BlockDuration, in timecode units; -1 unknown
	Key         bool
	Invisible   bool // decode, do not show
	Discardable bool // no other frame needs it
	Data        []byte
}

// keepBuffer is how many bytes of buffer an Assembler keeps for frames that
// need far less.
const keepBuffer = 1 << 20

// maxDefaultDuration is the longest DefaultDuration, in nanoseconds, that is
// believed: three days.
const maxDefaultDuration = 1 << 48

// Assembler puts the items of a Reader together to whole frames, splitting
// laces. A frame in one piece is handed on where it lies; others are gathered
// in one buffer that is used again. The frames of a lace follow each other by
// the BlockDuration or the track's DefaultDuration; when neither is known they
// all have the block's time. The zero value is ready.
type Assembler struct {
	frames []Frame
	data   []byte // the block's frames so far
	gather []byte // backs data when the block came in pieces
	sizes  []int

	block     BlockHeader
	timecode  int64
	open      bool // a block began and was not handed on
	complete  bool // all its bytes are in data
	duration  int64
	reference bool

	scale    uint64
	defaults []trackDefault
}

// trackDefault is a track's DefaultDuration.
type trackDefault struct {
	number, duration uint64
}

// Add takes the next item of the Reader and returns the frames that it
// completes, often none. They are valid until the next call of Add or of the
// Reader's Next, whichever comes first.
func (a *Assembler) Add(it *Item) []Frame {
	a.frames = a.frames[:0]
	switch it.Kind {
	case EBML:
		a.scale, a.defaults = 0, a.defaults[:0]
	case InfoElement:
		a.scale = it.Info.TimecodeScale
	case TracksElement:
		a.learn(it.Tracks)
	case BlockGroupStart:
		a.open, a.duration, a.reference = false, -1, false
	case BlockDuration:
		a.duration = int64(it.Duration)
	case BlockReference:
		a.reference = true
	case Block:
		a.begin(it)
	case BlockData:
		a.more(it)
	}
	if a.open && a.complete && (!it.InGroup || it.GroupEnd) {
		a.split()
		a.open = false
	} else if a.open && a.complete && len(a.gather) == 0 {
		// The rest of the group comes first; the item's bytes will not wait.
		a.gather = append(a.gather, a.data...)
		a.data = a.gather
	}
	return a.frames
}

// learn notes the tracks' frame durations.
func (a *Assembler) learn(tracks []Track) {
	a.defaults = a.defaults[:0]
	for _, t := range tracks {
		if t.DefaultDuration > 0 && t.DefaultDuration < maxDefaultDuration {
			a.defaults = append(a.defaults, trackDefault{t.Number, t.DefaultDuration})
		}
	}
}

// begin starts a block with its first piece.
func (a *Assembler) begin(it *Item) {
	if !it.InGroup {
		a.duration, a.reference = -1, false
	}
	a.block = it.Block
	a.sizes = append(a.sizes[:0], it.Block.Sizes...)
	a.timecode = int64(it.Timecode) + int64(it.Block.Time)
	a.open, a.complete = true, !it.More
	a.data, a.gather = it.Raw[it.Block.HeaderLen:], a.gather[:0]
	if it.More {
		if cap(a.gather) > keepBuffer && it.Block.Payload < int64(cap(a.gather)/4) {
			a.gather = nil
		}
		a.gather = append(a.gather, a.data...)
		a.data = a.gather
	}
}

// more adds a further piece of the block.
func (a *Assembler) more(it *Item) {
	if !a.open {
		return
	}
	a.gather = append(a.gather, it.Raw...)
	a.data, a.complete = a.gather, !it.More
}

// split makes the block's frames.
func (a *Assembler) split() {
	f := Frame{Track: a.block.Track, Key: a.block.Key && !a.reference,
		Invisible: a.block.Invisible, Discardable: a.block.Discardable}
	rest := a.data
	for i, size := range a.sizes {
		f.Timecode = a.timecode + a.after(i)
		f.Duration = -1
		if a.duration >= 0 {
			f.Duration = a.after(i+1) - a.after(i)
		}
		f.Data, rest = rest[:size:size], rest[size:]
		a.frames = append(a.frames, f)
	}
}

// after is how many timecode units the block's first i frames last.
func (a *Assembler) after(i int) int64 {
	if a.duration >= 0 {
		n, d := int64(len(a.sizes)), a.duration
		return d/n*int64(i) + d%n*int64(i)/n
	}
	scale := a.scale
	if scale == 0 {
		scale = defaultTimecodeScale
	}
	for _, t := range a.defaults {
		if t.number == a.block.Track {
			return int64(t.duration * uint64(i) / scale)
		}
	}
	return 0
}

// Frames pulls whole frames out of a Reader.
type Frames struct {
	r    *Reader
	a    Assembler
	left []Frame
}

// NewFrames returns the frames of r's remaining items.
func NewFrames(r *Reader) *Frames { return &Frames{r: r} }

// Next returns the next frame, valid until the next call. Its errors are
// those of [Reader.Next].
func (f *Frames) Next() (*Frame, error) {
	for len(f.left) == 0 {
		it, err := f.r.Next()
		if err != nil {
			return nil, err
		}
		f.left = f.a.Add(it)
	}
	next := &f.left[0]
	f.left = f.left[1:]
	return next, nil
}
