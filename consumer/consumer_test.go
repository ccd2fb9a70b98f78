package consumer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chunk is one chunk of GetMedia in its parts.
type chunk struct {
	head, tags1, body, tags2 []byte
}

func (c chunk) bytes() []byte { return bytes.Join([][]byte{c.head, c.tags1, c.body, c.tags2}, nil) }

func simple(pairs ...string) []byte {
	var tag mkv.Tag
	for i := 0; i < len(pairs); i += 2 {
		tag.Simple = append(tag.Simple, mkv.SimpleTag{Name: pairs[i], Value: pairs[i+1]})
	}
	return mkv.AppendTags(nil, []mkv.Tag{tag})
}

func number(i int) string { return fmt.Sprintf("9134385233318%034d", 1000+i) }

// chunks makes of a clip what GetMedia gives (wire-media section 5.4).
func chunks(clip string) (all []chunk) {
	var head []byte
	items := mkv.NewReader(mediatest.Open(clip), mkv.Options{})
	for {
		it, err := items.Next()
		if err != nil {
			break
		}
		switch {
		case it.Kind == mkv.ClusterStart:
			i := len(all)
			all = append(all, chunk{
				head: bytes.Clone(head),
				tags1: simple(tagNumber, number(i), tagServer, fmt.Sprintf("%d.250", 1_700_000_000+i),
					tagProducer, fmt.Sprintf("%d.125", 1_600_000_000+i)),
				tags2: simple(tagBehind, "1500", tagToken, number(i)),
			})
		case it.Kind == mkv.SegmentStart:
			head = mkv.AppendSegmentUnknown(head)
			continue
		case it.Kind == mkv.TagsElement:
			continue
		case len(all) == 0:
			head = append(head, it.Raw...)
			continue
		}
		c := &all[len(all)-1]
		c.body = append(c.body, it.Raw...)
	}
	return all
}

func join(all []chunk) (b []byte) {
	for _, c := range all {
		b = append(b, c.bytes()...)
	}
	return b
}

func TestReaderTakesChunksApart(t *testing.T) {
	for _, clip := range []string{"gstreamer-h264", "ffmpeg-h264", "ffmpeg-h264-aac"} {
		all := chunks(clip)
		r := NewReader(iotest.HalfReader(bytes.NewReader(join(all))))
		for i, c := range all {
			f, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if f.Number != number(i) || f.ServerTime.UnixMilli() != int64(1_700_000_000+i)*1000+250 ||
				f.ProducerTime.UnixMilli() != int64(1_600_000_000+i)*1000+125 {
				t.Errorf("%s: fragment %+v", clip, f)
			}
			if !bytes.Equal(f.Header, c.head) || len(f.Tracks) == 0 || f.Info == nil {
				t.Errorf("%s: fragment %d has another header", clip, i)
			}
			if f.Complete || f.Token != "" {
				t.Errorf("%s: fragment %d knows its end before it came", clip, i)
			}
			if i%2 == 1 {
				continue // passed over
			}
			body, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(body, c.body) {
				t.Errorf("%s: fragment %d: %d bytes of %d (%v)", clip, i, len(body), len(c.body), err)
			}
			if !f.Complete || f.Token != f.Number || f.BehindNow != 1500*time.Millisecond {
				t.Errorf("%s: fragment %+v after its end", clip, f)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: %v, want io.EOF", clip, err)
		}
	}
}

// The end of a fragment is known by the closing tags, not by the next chunk, which may
// be long in coming.
func TestFragmentEndsWithItsTags(t *testing.T) {
	all := chunks("gstreamer-h264")
	pr, pw := io.Pipe()
	go pw.Write(all[0].bytes())
	r := NewReader(pr)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, all[0].body) {
		t.Errorf("%d bytes (%v)", len(body), err)
	}
	pw.Close()
}

func TestProducersTagsAreKept(t *testing.T) {
	c := chunks("gstreamer-h264")[0]
	before, behind := simple("door", "open"), simple("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")
	in := bytes.Join([][]byte{c.head, before, c.tags1, c.body, behind, c.tags2}, nil)
	r := NewReader(bytes.NewReader(in))
	f, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r)
	if !bytes.Equal(f.TagBytes, before) || len(f.Tags) != 1 || len(f.TagsBehind) != 1 || !f.Complete {
		t.Errorf("fragment %+v", f)
	}
	if !bytes.Equal(body, append(bytes.Clone(c.body), behind...)) {
		t.Error("the tags behind the cluster are not in the body")
	}
}

func TestErrorsStandInPlaceOfFragments(t *testing.T) {
	all := chunks("gstreamer-h264")
	for name, tags := range map[string][]byte{
		"GetMedia": simple(tagNumber, number(1), tagErrorID, "4000", tagErrorCode, "fragment not found"),
		"list":     simple(tagNumber, number(1), tagException, "4000", tagMessage, "fragment not found"),
	} {
		in := append(all[0].bytes(), all[1].head...)
		in = append(append(in, tags...), all[2].bytes()...)
		r := NewReader(bytes.NewReader(in))
		var seen []string
		for {
			f, err := r.Next()
			if err == io.EOF {
				break
			}
			if e, ok := errors.AsType[*FragmentError](err); ok {
				if e.Number != number(1) || e.ID != 4000 || e.Code != "fragment not found" {
					t.Errorf("%s: %+v", name, e)
				}
				seen = append(seen, "error")
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, f.Number)
		}
		if want := []string{number(0), "error", number(2)}; fmt.Sprint(seen) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, seen, want)
		}
	}
}

// The list API may write the header once; tags with a number begin each fragment then.
func TestOneHeaderForManyFragments(t *testing.T) {
	var in []byte
	all := chunks("gstreamer-h264")
	in = append(in, all[0].head...)
	for _, c := range all {
		in = append(append(in, c.tags1...), c.body...)
	}
	r := NewReader(bytes.NewReader(in))
	for i, c := range all {
		f, err := r.Next()
		if err != nil || f.Number != number(i) || !bytes.Equal(f.Header, all[0].head) {
			t.Fatalf("fragment %d: %+v (%v)", i, f, err)
		}
		if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, c.body) {
			t.Errorf("fragment %d: %d bytes (%v)", i, len(body), err)
		}
	}
}

func TestFramesOfAFragment(t *testing.T) {
	all := chunks("ffmpeg-h264-bframes")
	r := NewReader(bytes.NewReader(join(all)))
	n := 0
	for {
		f, err := r.Next()
		if err != nil {
			break
		}
		frames := Frames(f, r)
		first := true
		for {
			frame, err := frames.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if first != frame.Key {
				t.Errorf("key frame %v at %d", frame.Key, frame.Timecode)
			}
			first = false
			n++
		}
	}
	if n != 100 {
		t.Errorf("%d frames, want 100", n)
	}
}

func TestMergerWritesOneDocument(t *testing.T) {
	all := chunks("gstreamer-h264")
	other := chunks("ffmpeg-h264")
	var out bytes.Buffer
	m := NewMerger(&out)
	var breaks []Break
	r := NewReader(bytes.NewReader(join(append(append(append([]chunk{}, all...), other...), other[0]))))
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		why, err := m.Add(f, r)
		if err != nil {
			t.Fatal(err)
		}
		breaks = append(breaks, why)
	}
	want := []Break{Beginning, "", "", "", NewHeader, "", "", "", ClockBack}
	if fmt.Sprint(breaks) != fmt.Sprint(want) {
		t.Errorf("breaks %q, want %q", breaks, want)
	}
	one := append([]byte{}, all[0].head...)
	for _, c := range all {
		one = append(one, c.body...)
	}
	if !bytes.HasPrefix(out.Bytes(), one) {
		t.Error("the first document is not the header and the clusters")
	}
	if n := bytes.Count(out.Bytes(), []byte(tagPrefix)); n != 0 {
		t.Errorf("%d of the service's tags are in the output", n)
	}
}

func TestReaderRefusesEndlessHeads(t *testing.T) {
	head := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{}))
	in := io.MultiReader(bytes.NewReader(head), endless{mkv.AppendElement(nil, mkv.IDVoid, make([]byte, 1000))})
	if _, err := NewReader(in).Next(); err == nil {
		t.Error("no error")
	}
}

// endless repeats itself.
type endless struct{ b []byte }

func (e endless) Read(p []byte) (int, error) { return copy(p, e.b), nil }

func FuzzReader(f *testing.F) {
	all := chunks("gstreamer-h264")
	f.Add(join(all[:1])[:2500])
	f.Add(append(all[0].head, simple(tagNumber, "1", tagErrorID, "3002")...))
	f.Add(append(append(all[0].tags1, all[0].tags2...), all[0].head...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		m := NewMerger(io.Discard)
		for range len(in) + 10 {
			fragment, err := r.Next()
			if _, ok := errors.AsType[*FragmentError](err); ok {
				continue
			}
			if err != nil {
				return
			}
			if _, err := m.Add(fragment, r); err != nil {
				return
			}
		}
		t.Fatal("the input never ends")
	})
}
