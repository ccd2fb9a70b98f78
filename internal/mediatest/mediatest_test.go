package mediatest

import (
	"bytes"
	"io/fs"
	"testing"
)

// The walk below knows just enough Matroska to count, on purpose without package mkv:
// what the clips are must not depend on the code that is tested with them.
const (
	idSegment     = 0x18538067
	idCluster     = 0x1F43B675
	idSimpleBlock = 0xA3
)

// counts is what the walk finds in a file.
type counts struct {
	frames, keys      map[uint64]int
	clusters, unknown int
	keyFirst          bool
}

func vint(b []byte, keep bool) (v uint64, n int, unknown bool) {
	for n = 1; n <= 8 && b[0]&(0x80>>(n-1)) == 0; n++ {
	}
	for _, c := range b[:n] {
		v = v<<8 | uint64(c)
	}
	mask := uint64(1)<<(7*n) - 1
	if !keep {
		v &= mask
	}
	return v, n, v&mask == mask
}

func count(b []byte, video uint64) counts {
	c := counts{frames: map[uint64]int{}, keys: map[uint64]int{}, keyFirst: true}
	first := false
	for len(b) > 0 {
		id, n, _ := vint(b, true)
		size, m, unknown := vint(b[n:], false)
		b = b[n+m:]
		switch id {
		case idSegment:
			continue
		case idCluster:
			c.clusters++
			first = true
			if unknown {
				c.unknown++
			}
			continue
		case idSimpleBlock:
			track, key := uint64(b[0]&0x7F), b[3]&0x80 != 0
			c.frames[track]++
			if key {
				c.keys[track]++
			}
			if track == video && first {
				c.keyFirst = c.keyFirst && key
				first = false
			}
		}
		b = b[size:]
	}
	return c
}

func TestClipsAreAsDescribed(t *testing.T) {
	for _, clip := range Clips() {
		t.Run(clip.Name, func(t *testing.T) {
			b := clip.Bytes()
			got := count(b, clip.VideoTrack)
			if got.clusters != clip.Clusters {
				t.Errorf("%d clusters, described as %d", got.clusters, clip.Clusters)
			}
			if n := got.frames[clip.VideoTrack]; clip.Video != "" && n != clip.VideoFrames {
				t.Errorf("%d video frames, described as %d", n, clip.VideoFrames)
			}
			if n := got.frames[clip.AudioTrack]; clip.Audio != "" && n != clip.AudioFrames {
				t.Errorf("%d audio frames, described as %d", n, clip.AudioFrames)
			}
			if n := got.keys[clip.VideoTrack]; clip.Video != "" && n != clip.KeyFrames {
				t.Errorf("%d key frames, described as %d", n, clip.KeyFrames)
			}
			if clip.Video != "" && got.keyFirst != clip.KeyFirst {
				t.Errorf("clusters begin with key frames: %v, described as %v", got.keyFirst, clip.KeyFirst)
			}
			if (got.unknown == got.clusters) != clip.UnknownSize {
				t.Errorf("%d of %d clusters have an unknown size", got.unknown, got.clusters)
			}
			for _, codec := range []string{clip.Video, clip.Audio} {
				if !bytes.Contains(b, []byte(codec)) {
					t.Errorf("no codec id %s", codec)
				}
			}
		})
	}
}

func TestEveryFileIsDescribed(t *testing.T) {
	files, err := fs.Glob(media, "media/*.mkv")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, c := range Clips() {
		total += len(c.Bytes())
	}
	if len(files) != len(clips) {
		t.Errorf("%d files, %d of them described", len(files), len(clips))
	}
	if total > 1<<20 {
		t.Errorf("the clips have %d bytes together; at most 1 MiB is worth keeping in git", total)
	}
}

func TestUnknownNamePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Bytes of an unknown name did not panic")
		}
	}()
	Bytes("no-such-clip")
}
