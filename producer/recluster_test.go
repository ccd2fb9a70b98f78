package producer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// framesOf reads all frames, each with its own bytes.
func framesOf(t *testing.T, media io.Reader) (all []mkv.Frame) {
	t.Helper()
	frames := mkv.NewFrames(mkv.NewReader(media, mkv.Options{}))
	for {
		f, err := frames.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		one := *f
		one.Data = bytes.Clone(f.Data)
		all = append(all, one)
	}
}

func sameFrames(t *testing.T, want, got []mkv.Frame) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%d frames, want %d", len(got), len(want))
	}
	for i := range min(len(want), len(got)) {
		if !reflect.DeepEqual(want[i], got[i]) {
			t.Fatalf("frame %d is %+.200v, want %+.200v", i, got[i], want[i])
		}
	}
}

// shape is what a test looks at in a cluster.
type shape struct {
	timecode int64
	sized    bool
	key      bool // its first block of the lead track is a key frame
	blocks   int
	raw      []byte
}

// clustersOf reads the clusters of a document whose video track, if any, is lead.
func clustersOf(t *testing.T, media io.Reader, lead uint64) (all []shape) {
	t.Helper()
	r := mkv.NewReader(media, mkv.Options{})
	led := false
	for {
		it, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == mkv.ClusterStart {
			all, led = append(all, shape{sized: it.Size >= 0}), false
		}
		if !it.InCluster {
			continue
		}
		c := &all[len(all)-1]
		c.raw = append(c.raw, it.Raw...)
		switch it.Kind {
		case mkv.ClusterTimecode:
			c.timecode = int64(it.Timecode)
		case mkv.Block:
			c.blocks++
			if !led && (lead == 0 || it.Block.Track == lead) {
				led, c.key = true, it.Block.Key
			}
		}
	}
}

func recluster(t *testing.T, media io.Reader, l Limits) (out []byte, changed int) {
	t.Helper()
	r := NewReclusterer(media, l)
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out, r.Changed()
}

func clusterBytes(clusters []shape) (all []byte) {
	for _, c := range clusters {
		all = append(all, c.raw...)
	}
	return all
}

func TestReclusteringKeepsFrames(t *testing.T) {
	for _, clip := range mediatest.Clips() {
		for _, l := range []Limits{{}, {Hold: 4000}, {Longest: 1500e6}, {Shortest: 3e9}, {Longest: 3e8, Shortest: 1e8}} {
			t.Run(fmt.Sprint(clip.Name, l), func(t *testing.T) {
				out, _ := recluster(t, bytes.NewReader(clip.Bytes()), l)
				want, got := framesOf(t, bytes.NewReader(clip.Bytes())), framesOf(t, bytes.NewReader(out))
				sameFrames(t, want, got)
			})
		}
	}
}

func TestFittingClustersStay(t *testing.T) {
	for _, clip := range mediatest.Clips() {
		in := clip.Bytes()
		fits := Fits(bytes.NewReader(in), Limits{})
		// The clusters of the clip with audio alone last 981 ms.
		if want := clip.KeyFirst; (fits == nil) != want {
			t.Errorf("%s: Fits = %v, want fitting %v", clip.Name, fits, want)
		}
		out, changed := recluster(t, iotest.HalfReader(bytes.NewReader(in)), Limits{})
		if (changed == 0) != (fits == nil) {
			t.Errorf("%s: %d clusters changed, but Fits = %v", clip.Name, changed, fits)
		}
		if changed > 0 {
			continue
		}
		a, b := clustersOf(t, bytes.NewReader(in), 0), clustersOf(t, bytes.NewReader(out), 0)
		if !bytes.Equal(clusterBytes(a), clusterBytes(b)) {
			t.Errorf("%s: the clusters are not the same bytes", clip.Name)
		}
		if clip.Name != "ffmpeg-file" && !bytes.Equal(in, out) {
			t.Errorf("%s: the document is not the same bytes", clip.Name)
		}
	}
}

func TestClustersAreCutAtKeyFrames(t *testing.T) {
	clip := mediatest.Bytes("ffmpeg-h264-aac")
	out, changed := recluster(t, bytes.NewReader(clip), Limits{})
	if changed == 0 {
		t.Fatal("nothing was changed")
	}
	if err := Fits(bytes.NewReader(out), Limits{}); err != nil {
		t.Fatal(err)
	}
	var at []int64
	for _, c := range clustersOf(t, bytes.NewReader(out), 1) {
		at = append(at, c.timecode)
	}
	if want := []int64{0, 1984}; !slices.Equal(at, want) { // sound comes before the picture at 2000
		t.Errorf("clusters begin at %v, want %v", at, want)
	}
}

func TestAudioIsCutByDuration(t *testing.T) {
	var v video
	w := mkv.NewWriter(&v)
	w.WriteEBML(mkv.Header{})
	w.SegmentUnknown()
	w.Tracks([]mkv.Track{{Number: 1, UID: 1, Type: mkv.AudioTrack, CodecID: "A_X"}})
	w.ClusterSized(0, frames(nil, 0, 25000, 50, 1))
	out, _ := recluster(t, &v.Buffer, Limits{})
	at := starts(t, out)
	if len(at) != 13 || at[1] != 2000 || at[12] != 24000 {
		t.Errorf("clusters begin at %v, want one each 2000", at)
	}
}

// video makes documents for tests: a track of video and one of audio.
type video struct{ bytes.Buffer }

func (v *video) head(scale uint64) *mkv.Writer {
	w := mkv.NewWriter(v)
	w.WriteEBML(mkv.Header{})
	w.SegmentUnknown()
	w.Info(&mkv.Info{TimecodeScale: scale})
	w.Tracks([]mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_X"},
		{Number: 2, UID: 2, Type: mkv.AudioTrack, CodecID: "A_X"}})
	return w
}

// frames appends SimpleBlocks every step timecode units; every n-th is a key frame.
func frames(b []byte, from, to, step, n int) []byte {
	for t := from; t < to; t += step {
		h := mkv.BlockHeader{Track: 1, Time: int16(t), Key: (t/step)%n == 0}
		b = mkv.AppendSimpleBlock(b, h, fmt.Appendf(nil, "frame %d", t))
	}
	return b
}

func starts(t *testing.T, media []byte) (at []int64) {
	for _, c := range clustersOf(t, bytes.NewReader(media), 0) {
		at = append(at, c.timecode)
	}
	return at
}

func TestWhereClustersBegin(t *testing.T) {
	const ms = 1_000_000
	for name, c := range map[string]struct {
		make func(v *video)
		want []int64
	}{
		"short clusters are joined": {func(v *video) {
			w := v.head(ms)
			for i := range 6 {
				w.ClusterSized(uint64(400*i), frames(nil, 0, 400, 100, 4))
			}
		}, []int64{0, 1200}},
		"long clusters of known size are cut at key frames": {func(v *video) {
			v.head(ms).ClusterSized(0, frames(nil, 0, 30000, 500, 4))
		}, []int64{0, 2000, 4000, 6000, 8000, 10000, 12000, 14000, 16000, 18000, 20000, 22000, 24000, 26000, 28000}},
		"a cluster of unknown size passes until the next key frame would be too late": {func(v *video) {
			w := v.head(ms)
			w.ClusterUnknown(0)
			v.Write(frames(nil, 0, 24000, 500, 10))
		}, []int64{0, 20000}},
		"without key frames the cut is anywhere": {func(v *video) {
			w := v.head(ms)
			w.ClusterUnknown(0)
			v.Write(frames(nil, 0, 30000, 500, 1000))
		}, []int64{0, 20000}},
		"a cluster of unknown size goes on over one that begins with another frame": {func(v *video) {
			w := v.head(ms)
			w.ClusterUnknown(0)
			v.Write(frames(nil, 0, 1500, 500, 6))
			w.ClusterUnknown(1500)
			v.Write(frames(nil, 500, 1500, 500, 6))
			w.ClusterUnknown(3000)
			v.Write(frames(nil, 0, 2500, 500, 6))
		}, []int64{0, 3000}},
		"relative times that would not fit begin a cluster": {func(v *video) {
			w := v.head(ms / 10)
			w.ClusterUnknown(0)
			v.Write(frames(nil, 0, 20000, 500, 1000))
			w.ClusterUnknown(20000)
			v.Write(frames(nil, 500, 20000, 500, 1000))
		}, []int64{0, 33000}},
	} {
		t.Run(name, func(t *testing.T) {
			var v video
			c.make(&v)
			out, _ := recluster(t, bytes.NewReader(v.Bytes()), Limits{})
			if got := starts(t, out); !slices.Equal(got, c.want) {
				t.Errorf("clusters begin at %v, want %v", got, c.want)
			}
			sameFrames(t, framesOf(t, &v.Buffer), framesOf(t, bytes.NewReader(out)))
		})
	}
}

// Clusters that are cut for want of a key frame are counted, others are not.
func TestKeylessClustersAreCounted(t *testing.T) {
	for keys, want := range map[int]int{4: 0, 10: 0, 1000: 1} {
		var v video
		v.head(1_000_000).ClusterUnknown(0)
		v.Write(frames(nil, 0, 30000, 500, keys))
		r := NewReclusterer(&v, Limits{})
		if _, err := io.Copy(io.Discard, r); err != nil || r.Keyless() != want {
			t.Errorf("a key frame every %d: %d clusters without, want %d (%v)", keys, r.Keyless(), want, err)
		}
	}
}

// Of timecodes that go back it is said by how much.
func TestTimecodesThatGoBackAreNamed(t *testing.T) {
	var v video
	w := v.head(1_000_000)
	for _, at := range []int64{0, 2000, 4000, 2500} {
		w.ClusterUnknown(uint64(at))
		v.Write(frames(nil, 0, 2000, 500, 4))
	}
	misfit, ok := errors.AsType[*Misfit](Fits(&v, Limits{}))
	if !ok || misfit.Reason != "has timecodes that go back by 1.5s" {
		t.Errorf("%v", misfit)
	}
}

// Tags between two clusters are about the second one: they wait for the next cut.
func TestTagsStayInFrontOfTheNextCluster(t *testing.T) {
	var v video
	w := v.head(1_000_000)
	w.ClusterUnknown(0)
	v.Write(frames(nil, 0, 500, 100, 20))
	w.Tags([]mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "door", Value: "open"}}}})
	w.ClusterUnknown(500)
	v.Write(frames(nil, 100, 3000, 100, 20))
	out, _ := recluster(t, &v.Buffer, Limits{})
	r := mkv.NewReader(bytes.NewReader(out), mkv.Options{})
	clusters, tags := 0, 0
	for it, err := r.Next(); err == nil; it, err = r.Next() {
		switch it.Kind {
		case mkv.ClusterStart:
			clusters++
		case mkv.TagsElement:
			if tags++; clusters != 1 {
				t.Errorf("tags behind %d clusters, want behind the first", clusters)
			}
		}
	}
	if clusters != 2 || tags != 1 {
		t.Errorf("%d clusters and %d tags, want 2 and 1", clusters, tags)
	}
}

// A group's duration, reference and discard padding stay, and it counts as a key frame
// only without a reference.
func TestGroupsAreKept(t *testing.T) {
	padding := mkv.AppendElement(nil, mkv.IDDiscardPadding, []byte{0x12, 0x34})
	var v video
	w := v.head(1_000_000)
	w.ClusterUnknown(0)
	for i := range 30 {
		reference := int64(-100)
		if i%15 == 0 {
			reference = 0
		}
		if i == 10 {
			w.ClusterUnknown(1000)
		}
		h := mkv.BlockHeader{Track: 1, Time: int16(100 * (i % 10))}
		if i >= 10 {
			h.Time = int16(100 * (i - 10))
		}
		group := mkv.AppendBlockGroup(nil, h, 90, reference, fmt.Appendf(nil, "frame %d", i))
		// The padding goes into the group: its size has 8 bytes behind the id.
		group = append(group, padding...)
		group[8] += byte(len(padding))
		v.Write(group)
	}
	out, changed := recluster(t, iotest.OneByteReader(bytes.NewReader(v.Bytes())), Limits{})
	if got, want := starts(t, out), []int64{0, 1500}; !slices.Equal(got, want) || changed != 1 {
		t.Errorf("clusters begin at %v, want %v; %d changed", got, want, changed)
	}
	sameFrames(t, framesOf(t, &v.Buffer), framesOf(t, bytes.NewReader(out)))
	if n := bytes.Count(out, padding); n != 30 {
		t.Errorf("%d discard paddings, want 30", n)
	}
}

// What is whole comes out before the error of an input that was cut off.
func TestInputThatBreaksOff(t *testing.T) {
	for _, name := range []string{"ffmpeg-h264", "ffmpeg-h264-aac", "gstreamer-h264"} {
		in := mediatest.Bytes(name)
		all := framesOf(t, bytes.NewReader(in))
		for n := len(in) / 3; n < len(in); n += 997 {
			out, err := io.ReadAll(NewReclusterer(bytes.NewReader(in[:n]), Limits{}))
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			frames := mkv.NewFrames(mkv.NewReader(bytes.NewReader(out), mkv.Options{}))
			got := 0
			for f, err := frames.Next(); err == nil; f, err = frames.Next() {
				if !bytes.Equal(f.Data, all[got].Data) || f.Timecode != all[got].Timecode {
					t.Fatalf("%s cut at %d: frame %d differs", name, n, got)
				}
				got++
			}
			if min := len(all)/3 - 30; got < min {
				t.Errorf("%s cut at %d: only %d frames, want %d", name, n, got, min)
			}
		}
	}
}

func TestSecondDocumentIsRefused(t *testing.T) {
	in := mediatest.Bytes("gstreamer-h264")
	out, err := io.ReadAll(NewReclusterer(bytes.NewReader(append(in, in...)), Limits{}))
	if err == nil || !bytes.Equal(out, in) {
		t.Errorf("%d bytes and %v, want the first document and an error", len(out), err)
	}
	if Fits(bytes.NewReader(append(in, in...)), Limits{}) == nil {
		t.Error("Fits accepts two documents")
	}
}

// A live cluster of unknown size is not kept waiting.
func TestLiveFramesPass(t *testing.T) {
	in := mediatest.Bytes("gstreamer-h264")
	pr, pw := io.Pipe()
	r := NewReclusterer(pr, Limits{})
	half := len(in) / 2
	go pw.Write(in[:half])
	got := make([]byte, half-64) // what is missing at most: a cluster's head, half a frame's
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, in[:len(got)]) {
		t.Errorf("not the bytes that came in (%v)", err)
	}
	pw.Close()
}
