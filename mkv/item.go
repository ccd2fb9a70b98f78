package mkv

// Kind says what an [Item] is.
type Kind uint8

// The kinds of items, in the order a document usually shows them.
const (
	EBML            Kind = iota + 1 // a whole EBML header; Item.Header is set
	SegmentStart                    // id and size of a Segment; Item.Size is -1 when unknown
	InfoElement                     // a whole Info; Item.Info is set
	TracksElement                   // a whole Tracks; Item.Tracks is set
	TagsElement                     // a whole Tags; Item.Tags is set
	ClusterStart                    // id and size of a Cluster; Item.Size is -1 when unknown
	ClusterTimecode                 // a whole Timecode; Item.Timecode is set
	BlockGroupStart                 // id and size of a BlockGroup
	Block                           // first piece of a SimpleBlock or Block; Item.Block is set
	BlockData                       // a further piece of a block's frames
	BlockDuration                   // a whole BlockDuration; Item.Duration is set
	BlockReference                  // a whole ReferenceBlock: the group's frame is no key frame
	Other                           // any other element, or a piece of one
)

var kindNames = [...]string{"", "EBML", "SegmentStart", "InfoElement", "TracksElement", "TagsElement",
	"ClusterStart", "ClusterTimecode", "BlockGroupStart", "Block", "BlockData", "BlockDuration",
	"BlockReference", "Other"}

// String gives the constant's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(?)"
}

// Item is one element of the input, or the head or a piece of one. The item
// and its Raw and Block.Sizes are valid until the next call of Next; Header,
// Info, Tracks and Tags are fresh values the caller may keep.
type Item struct {
	Kind   Kind
	ID     uint32 // the element's id, length marker included
	Offset int64  // where Raw begins in the input
	Size   int64  // the element's size after its head in bytes; -1 when unknown
	Raw    []byte // the bytes as they were read; may be shorter than the element, see More

	More bool // pieces of this element follow
	Cont bool // this is a further piece of the element of the item before

	InCluster  bool   // the item belongs to a cluster (ClusterStart included)
	InGroup    bool   // the item belongs to a BlockGroup (BlockGroupStart included)
	ClusterEnd bool   // a cluster of known size ends with Raw's last byte
	GroupEnd   bool   // the BlockGroup ends with Raw's last byte
	Timecode   uint64 // of the cluster, once read, in timecode units; below 2^62

	Duration  uint64      // BlockDuration only: in timecode units; below 2^62
	Reference int64       // BlockReference only: relative time of the other frame
	Block     BlockHeader // Block only
	Header    *Header     // EBML only
	Info      *Info       // InfoElement only
	Tracks    []Track     // TracksElement only
	Tags      []Tag       // TagsElement only
}

// Lacing says how a block holds more than one frame (RFC 9559 section 10.3).
type Lacing uint8

// The lacings; the values are those of the block's flag bits.
const (
	NoLacing    Lacing = 0
	XiphLacing  Lacing = 1
	FixedLacing Lacing = 2
	EBMLLacing  Lacing = 3
)

// BlockHeader is the head of a SimpleBlock or Block (RFC 9559 section 10).
type BlockHeader struct {
	Track uint64 // track number, 1 or more
	Time  int16  // relative to the cluster's timecode, in timecode units

	// Key is the key frame flag of a SimpleBlock. A Block in a group has no
	// such flag: Key is true unless a BlockReference came before it, and one
	// may still follow.
	Key         bool
	Invisible   bool // decode, do not show
	Discardable bool // SimpleBlock only: no other frame needs it
	Simple      bool // a SimpleBlock, not a Block in a group

	Lacing    Lacing
	Frames    int   // how many frames, 1 without lacing
	HeaderLen int   // bytes of Raw before the first frame: id, size, head, lace table
	Payload   int64 // bytes after track, time and flags: lace table and frames
	Sizes     []int // each frame's size in bytes; len(Sizes) == Frames
}
