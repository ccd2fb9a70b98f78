package mkv

// Frame is one coded frame.
type Frame struct {
	Track       uint64 // track number
	Timecode    int64  // cluster's plus relative, in timecode units
	Duration    int64  // from BlockDuration, in timecode units; -1 unknown
	Key         bool
	Invisible   bool
	Discardable bool
	Data        []byte
}

// Assembler puts the items of a Reader together to whole frames, splitting
// laces. The zero value is ready.
type Assembler struct{}

// Add takes the next item of the Reader and returns the frames that it
// completes, often none. They are valid until the next call of Add or of the
// Reader's Next, whichever comes first.
func (a *Assembler) Add(it *Item) []Frame { return nil }

// Frames pulls whole frames out of a Reader.
type Frames struct{}

// NewFrames returns the frames of r's remaining items.
func NewFrames(r *Reader) *Frames { return &Frames{} }

// Next returns the next frame, valid until the next call; io.EOF at the end.
func (f *Frames) Next() (*Frame, error) { return nil, nil }
