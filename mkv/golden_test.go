package mkv_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/mkv"
)

var update = flag.Bool("update", false, "write the golden files anew")

// describe is one line about an item, for people to compare.
func describe(it *mkv.Item) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6d %-15s %X", it.Offset, it.Kind, it.ID)
	if it.Kind != mkv.BlockData {
		fmt.Fprintf(&b, " size=%d", it.Size)
	}
	switch it.Kind {
	case mkv.EBML:
		fmt.Fprintf(&b, " %+v", *it.Header)
	case mkv.InfoElement:
		fmt.Fprintf(&b, " %+v", *it.Info)
	case mkv.TracksElement:
		for _, t := range it.Tracks {
			fmt.Fprintf(&b, "\n         %+v", describeTrack(t))
		}
	case mkv.TagsElement:
		for _, t := range it.Tags {
			fmt.Fprintf(&b, "\n         %s", describeTag(t))
		}
	case mkv.ClusterTimecode:
		fmt.Fprintf(&b, " %d", it.Timecode)
	case mkv.BlockDuration:
		fmt.Fprintf(&b, " %d", it.Duration)
	case mkv.BlockReference:
		fmt.Fprintf(&b, " %d", it.Reference)
	case mkv.Block:
		fmt.Fprintf(&b, " %+v", it.Block)
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{it.InCluster, "in-cluster"}, {it.InGroup, "in-group"}, {it.GroupEnd, "group-end"}, {it.ClusterEnd, "cluster-end"}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	return b.String()
}

func describeTrack(t mkv.Track) string {
	s := fmt.Sprintf("number=%d uid=%d type=%d codec=%q private=%x name=%q language=%q duration=%d",
		t.Number, t.UID, t.Type, t.CodecID, t.CodecPrivate, t.Name, t.Language, t.DefaultDuration)
	if t.Video != nil {
		s += fmt.Sprintf(" video=%+v", *t.Video)
	}
	if t.Audio != nil {
		s += fmt.Sprintf(" audio=%+v", *t.Audio)
	}
	return s
}

func describeTag(t mkv.Tag) string {
	s := fmt.Sprintf("%q", t.Simple)
	if t.Targets != nil {
		s += fmt.Sprintf(" about %+v", *t.Targets)
	}
	return s
}

// TestShapes reads a document of each producer and compares items and frames
// with what a person has looked at once.
func TestShapes(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			var got strings.Builder
			var a mkv.Assembler
			r := mkv.NewReader(bytes.NewReader(s.doc), mkv.Options{})
			for {
				it, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&got, describe(it))
				for _, f := range a.Add(it) {
					fmt.Fprintf(&got, "         frame track=%d time=%d duration=%d key=%t invisible=%t discardable=%t bytes=%d first=%x\n",
						f.Track, f.Timecode, f.Duration, f.Key, f.Invisible, f.Discardable, len(f.Data), f.Data[:min(4, len(f.Data))])
				}
			}
			golden(t, s.name+".txt", got.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update after looking):\n%s", name, got)
	}
}

// source gives its bytes, then says err.
type source struct {
	data []byte
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, s.err
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	return n, nil
}

// errNotYet stands for bytes that have not arrived.
var errNotYet = errors.New("not yet")
