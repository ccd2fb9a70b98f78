package mkv_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/millrace/millrace/mkv"
)

// addDocuments seeds a fuzzer with the shapes, whole, cut and spoilt.
func addDocuments(f *testing.F) {
	for _, s := range shapes() {
		f.Add(s.doc)
		f.Add(s.doc[:len(s.doc)*2/3])
		spoilt := bytes.Clone(s.doc)
		for i := 90; i < len(spoilt); i += 101 {
			spoilt[i] ^= 0x41
		}
		f.Add(spoilt)
	}
	for _, fault := range faults() {
		f.Add(fault.doc)
	}
}

// wantKnownError fails on an error that is none of those that Next promises
// for a source that only ends.
func wantKnownError(t *testing.T, got reading, doc []byte) {
	t.Helper()
	var syntax *mkv.SyntaxError
	switch {
	case got.err == io.EOF:
		if len(got.raw) != len(doc) {
			t.Fatalf("EOF after %d of %d bytes", len(got.raw), len(doc))
		}
	case errors.Is(got.err, io.ErrUnexpectedEOF):
	case errors.As(got.err, &syntax):
		if syntax.Offset < got.offset || syntax.Offset > int64(len(doc)) {
			t.Fatalf("an error at byte %d: handed on %d of %d bytes", syntax.Offset, got.offset, len(doc))
		}
	default:
		t.Fatal(got.err)
	}
}

// FuzzReader: the bytes handed on are the input, and neither the source's way
// of cutting it nor the buffer's size changes what is read.
func FuzzReader(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		want := read(t, bytes.NewReader(doc), mkv.Options{})
		wantKnownError(t, want, doc)
		if !bytes.HasPrefix(doc, want.raw) {
			t.Fatal("the bytes handed on are not the input")
		}
		same(t, "byte by byte", want, read(t, iotest.OneByteReader(bytes.NewReader(doc)), mkv.Options{}))
		same(t, "small buffer", want, read(t, iotest.DataErrReader(bytes.NewReader(doc)), mkv.Options{Buffer: 64}))
	})
}

// FuzzFrames: whole frames are the same however their blocks were cut.
func FuzzFrames(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		whole, err := framesOf(doc, mkv.Options{Buffer: len(doc)})
		cut, cutErr := framesOf(doc, mkv.Options{Buffer: 64})
		if !reflect.DeepEqual(whole, cut) || err.Error() != cutErr.Error() {
			t.Fatalf("%d frames, %v; in pieces %d frames, %v", len(whole), err, len(cut), cutErr)
		}
	})
}

// FuzzHeaders: what ParseInfo, ParseTracks and ParseTags accept survives being
// written and parsed again.
func FuzzHeaders(f *testing.F) {
	f.Add(mkv.AppendInfo(nil, someInfo))
	f.Add(mkv.AppendTracks(nil, someTracks))
	f.Add(mkv.AppendTags(nil, someTags))
	for _, s := range shapes() {
		r := mkv.NewReader(bytes.NewReader(s.doc), mkv.Options{})
		for it, err := r.Next(); err == nil; it, err = r.Next() {
			if it.Kind == mkv.InfoElement || it.Kind == mkv.TracksElement || it.Kind == mkv.TagsElement {
				f.Add(bytes.Clone(it.Raw))
			}
		}
	}
	f.Fuzz(func(t *testing.T, element []byte) {
		if info, err := mkv.ParseInfo(element); err == nil {
			again, err := mkv.ParseInfo(mkv.AppendInfo(nil, info))
			wantSame(t, normalInfo(info), again, err)
		}
		if tracks, err := mkv.ParseTracks(element); err == nil {
			again, err := mkv.ParseTracks(mkv.AppendTracks(nil, tracks))
			wantSame(t, tracks, again, err)
		}
		if tags, err := mkv.ParseTags(element); err == nil {
			again, err := mkv.ParseTags(mkv.AppendTags(nil, normalTags(tags)))
			wantSame(t, tags, again, err)
		}
	})
}

func wantSame(t *testing.T, want, got any, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(want, got) {
		t.Fatalf("%v\nwant %+v\n got %+v", err, want, got)
	}
}

// normalInfo has no empty SegmentUID, which the writer leaves out.
func normalInfo(i *mkv.Info) *mkv.Info {
	if len(i.SegmentUID) == 0 {
		i.SegmentUID = nil
	}
	return i
}

// normalTags has no value beside a binary one, which the writer prefers.
func normalTags(tags []mkv.Tag) []mkv.Tag {
	var walk func([]mkv.SimpleTag)
	walk = func(list []mkv.SimpleTag) {
		for i := range list {
			if list[i].Binary != nil {
				list[i].Value = ""
			}
			walk(list[i].Nested)
		}
	}
	for _, t := range tags {
		walk(t.Simple)
	}
	return tags
}
