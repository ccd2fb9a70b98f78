package mkv_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/at-wat/ebml-go"

	"github.com/millrace/millrace/mkv"
)

// at-wat/ebml-go is a second opinion. It differs by design, so documents are
// compared only where both readers accept them and mean the same question:
//   - one document of one Segment, one Info and one Tracks at most: ebml-go
//     merges repeated masters into one struct;
//   - no element that this package passes over but ebml-go looks into, as
//     ebml-go then believes sizes that nobody has checked;
//   - no empty numbers: RFC 8794 gives them the default, ebml-go 0;
//   - laces as ebml-go reads them: two frames or more, none of them empty.

// theirs is a document as ebml-go unmarshals it.
type theirs struct {
	EBML    theirHeader  `ebml:"EBML"`
	Segment theirSegment `ebml:"Segment"`
}

type theirHeader struct {
	DocType        string `ebml:"EBMLDocType"`
	DocTypeVersion uint64 `ebml:"EBMLDocTypeVersion"`
}

type theirSegment struct {
	Info    theirInfo      `ebml:"Info"`
	Tracks  []theirTracks  `ebml:"Tracks"`
	Tags    []theirTags    `ebml:"Tags"`
	Cluster []theirCluster `ebml:"Cluster"`
}

type theirInfo struct {
	TimecodeScale uint64
	Duration      float64
	SegmentUID    []byte
	Title         string
	MuxingApp     string
	WritingApp    string
}

type theirTracks struct {
	TrackEntry []theirTrack
}

type theirTrack struct {
	TrackNumber     uint64
	TrackUID        uint64
	TrackType       uint64
	CodecID         string
	CodecPrivate    []byte
	Name            string
	Language        string
	DefaultDuration uint64
	Video           *theirVideo
	Audio           *theirAudio
}

type theirVideo struct {
	PixelWidth, PixelHeight uint64
}

type theirAudio struct {
	SamplingFrequency float64
	Channels          uint64
	BitDepth          uint64
}

type theirTags struct {
	Tag []theirTag
}

type theirTag struct {
	Targets   *theirTargets
	SimpleTag []theirSimpleTag
}

type theirTargets struct {
	TargetTypeValue uint64
	TargetType      string
	TagTrackUID     []uint64
}

type theirSimpleTag struct {
	TagName     string
	TagString   string
	TagLanguage string
	TagBinary   []byte
}

type theirCluster struct {
	Timecode    uint64
	SimpleBlock []ebml.Block
	BlockGroup  []theirGroup
}

type theirGroup struct {
	Block          ebml.Block
	BlockDuration  uint64
	ReferenceBlock int64
}

// Both opinions are put into the same words, one line per thing.

func (d *theirs) lines() []string {
	l := []string{fmt.Sprintf("header %q %d", d.EBML.DocType, d.EBML.DocTypeVersion)}
	i := d.Segment.Info
	l = append(l, fmt.Sprintf("info %d %g %x %q %q %q", i.TimecodeScale, i.Duration, i.SegmentUID, i.Title, i.MuxingApp, i.WritingApp))
	for _, tracks := range d.Segment.Tracks {
		for _, t := range tracks.TrackEntry {
			l = append(l, fmt.Sprintf("track %d %d %d %q %x %q %q %d", t.TrackNumber, t.TrackUID, t.TrackType, t.CodecID, t.CodecPrivate, t.Name, t.Language, t.DefaultDuration))
			if t.Video != nil {
				l = append(l, fmt.Sprint("video ", *t.Video))
			}
			if t.Audio != nil {
				l = append(l, fmt.Sprint("audio ", *t.Audio))
			}
		}
	}
	for _, tags := range d.Segment.Tags {
		for _, t := range tags.Tag {
			if t.Targets != nil {
				// Absent means 50, which ebml-go does not know.
				l = append(l, fmt.Sprintf("targets %d %q %d", cmp.Or(t.Targets.TargetTypeValue, 50), t.Targets.TargetType, t.Targets.TagTrackUID))
			}
			for _, s := range t.SimpleTag {
				l = append(l, fmt.Sprintf("tag %q %q %q %x", s.TagName, s.TagString, s.TagLanguage, s.TagBinary))
			}
		}
	}
	for _, c := range d.Segment.Cluster {
		l = append(l, fmt.Sprint("cluster ", c.Timecode))
		for _, b := range c.SimpleBlock {
			l = append(l, blockLine(b.TrackNumber, b.Timecode, b.Data)+fmt.Sprint(b.Keyframe, b.Invisible, b.Discardable))
		}
		for _, g := range c.BlockGroup {
			l = append(l, blockLine(g.Block.TrackNumber, g.Block.Timecode, g.Block.Data)+fmt.Sprint(g.Block.Invisible, g.BlockDuration, g.ReferenceBlock))
		}
	}
	return l
}

func blockLine(track uint64, time int16, data [][]byte) string {
	return fmt.Sprintf("block %d %d %x ", track, time, data)
}

// ourCluster collects a cluster's lines; ebml-go tells SimpleBlocks and groups
// apart, and so forgets which came first.
type ourCluster struct {
	timecode       uint64
	simple, groups []string
	block          mkv.BlockHeader
	data           []byte
	line           string // of the group's Block
	duration       uint64
	reference      int64
}

// ours reads a document into the same words, and says whether it lies in the
// domain where the two opinions can be compared.
func ours(doc []byte) (lines []string, comparable bool, err error) {
	var header, info string
	var middle, end []string
	var c *ourCluster
	seen := map[mkv.Kind]int{}
	flush := func() {
		if c != nil {
			end = append(append(append(end, fmt.Sprint("cluster ", c.timecode)), c.simple...), c.groups...)
		}
		c = nil
	}
	comparable = true
	info = (&theirs{}).lines()[1]
	var tracks []string
	r := mkv.NewReader(bytes.NewReader(doc), mkv.Options{Buffer: 200})
	for {
		it, err := r.Next()
		if err == io.EOF {
			flush()
			return slices.Concat([]string{header, info}, tracks, middle, end), comparable && seen[mkv.EBML] == 1 && seen[mkv.SegmentStart] == 1 &&
				seen[mkv.InfoElement] < 2 && seen[mkv.TracksElement] < 2, nil
		}
		if err != nil {
			return nil, false, err
		}
		if !it.Cont {
			seen[it.Kind]++
		}
		switch it.Kind {
		case mkv.EBML: // ebml-go does not check it
			header = fmt.Sprintf("header %q %d", it.Header.DocType, it.Header.DocTypeVersion)
			comparable = comparable && flat(it.Raw)
		case mkv.InfoElement:
			i := it.Info
			info = fmt.Sprintf("info %d %g %x %q %q %q", i.TimecodeScale, i.Duration, i.SegmentUID, i.Title, i.MuxingApp, i.WritingApp)
			comparable = comparable && flat(it.Raw)
		case mkv.TracksElement:
			tracks = append(tracks, trackLines(it.Tracks)...)
			comparable = comparable && flat(it.Raw)
		case mkv.TagsElement:
			more, ok := tagLines(it.Tags)
			middle = append(middle, more...)
			comparable = comparable && ok && flat(it.Raw)
		case mkv.ClusterStart:
			flush()
			c = &ourCluster{}
		case mkv.Other:
			comparable = comparable && (it.ID == mkv.IDVoid || it.ID == mkv.IDCRC32 || it.ID == mkv.IDPosition || it.ID == mkv.IDPrevSize)
		}
		if c != nil {
			comparable = c.add(it) && comparable
		}
	}
}

// add takes an item of the cluster and says whether it can be compared.
func (c *ourCluster) add(it *mkv.Item) bool {
	ok := true
	switch it.Kind {
	case mkv.ClusterTimecode:
		c.timecode, ok = it.Timecode, it.Size > 0
	case mkv.BlockGroupStart:
		c.line, c.duration, c.reference = "", 0, 0
	case mkv.BlockDuration:
		c.duration, ok = it.Duration, it.Size > 0 && c.duration == 0
	case mkv.BlockReference:
		c.reference, ok = it.Reference, it.Size > 0 && c.reference == 0
	case mkv.Block:
		c.block = it.Block
		c.block.Sizes = slices.Clone(it.Block.Sizes)
		c.data = append(c.data[:0], it.Raw[it.Block.HeaderLen:]...)
	case mkv.BlockData:
		c.data = append(c.data, it.Raw...)
	}
	if (it.Kind == mkv.Block || it.Kind == mkv.BlockData) && !it.More {
		if c.block.Lacing != mkv.NoLacing && (c.block.Frames < 2 || slices.Contains(c.block.Sizes, 0)) {
			ok = false
		}
		c.line = blockLine(c.block.Track, c.block.Time, split(c.data, c.block.Sizes))
		if c.block.Simple {
			c.simple = append(c.simple, c.line+fmt.Sprint(c.block.Key, c.block.Invisible, c.block.Discardable))
		}
	}
	if it.GroupEnd {
		ok = ok && c.line != ""
		c.groups = append(c.groups, c.line+fmt.Sprint(c.block.Invisible, c.duration, c.reference))
	}
	return ok
}

func split(data []byte, sizes []int) (frames [][]byte) {
	for _, n := range sizes {
		frames = append(frames, data[:n])
		data = data[n:]
	}
	return frames
}

func trackLines(tracks []mkv.Track) (l []string) {
	for _, t := range tracks {
		l = append(l, fmt.Sprintf("track %d %d %d %q %x %q %q %d", t.Number, t.UID, t.Type, t.CodecID, t.CodecPrivate, t.Name, t.Language, t.DefaultDuration))
		if t.Video != nil {
			l = append(l, fmt.Sprint("video ", *t.Video))
		}
		if t.Audio != nil {
			l = append(l, fmt.Sprint("audio ", *t.Audio))
		}
	}
	return l
}

func tagLines(tags []mkv.Tag) (l []string, ok bool) {
	ok = true
	for _, t := range tags {
		if t.Targets != nil {
			l = append(l, fmt.Sprintf("targets %d %q %d", t.Targets.TypeValue, t.Targets.Type, t.Targets.TrackUIDs))
		}
		for _, s := range t.Simple {
			l = append(l, fmt.Sprintf("tag %q %q %q %x", s.Name, s.Value, s.Language, s.Binary))
			ok = ok && s.Nested == nil
		}
	}
	return l, ok
}
