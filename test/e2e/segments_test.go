package e2e

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/abema/go-mp4"
)

// group is segments that share an init segment.
type group struct {
	kind  string // video or audio
	init  string // URL
	media []string
}

// download gets a URL, which must be there.
func download(t testing.TB, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := readAll(t, resp.Body)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, resp.Status, b)
	}
	return b
}

func downloadText(t testing.TB, url string) string { t.Helper(); return string(download(t, url)) }

// resolve is a URI of a document at base.
func resolve(t testing.TB, base, uri string) string {
	t.Helper()
	b, err := neturl.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// mediaList is a media playlist.
type mediaList struct{ kind, url, text string }

var (
	rendition = regexp.MustCompile(`(?m)^#EXT-X-MEDIA:.*TYPE=AUDIO.*URI="([^"]+)"|^#EXT-X-MEDIA:.*URI="([^"]+)".*TYPE=AUDIO`)
	variant   = regexp.MustCompile(`(?m)^#EXT-X-STREAM-INF:(.*)\n(\S+)$`)
	uriLine   = regexp.MustCompile(`(?m)^[^#\s]\S*$`)
	mapped    = regexp.MustCompile(`^#EXT-X-MAP:.*URI="([^"]+)"`)
)

// mediaLists fetches the media playlists of a master playlist.
func mediaLists(t testing.TB, url, master string) (all []mediaList) {
	t.Helper()
	m := variant.FindStringSubmatch(master)
	if m == nil {
		t.Fatalf("no variant in\n%s", master)
	}
	u, kind := resolve(t, url, m[2]), "video"
	if !strings.Contains(m[1], "RESOLUTION") {
		kind = "audio"
	}
	all = append(all, mediaList{kind, u, downloadText(t, u)})
	for _, m := range rendition.FindAllStringSubmatch(master, -1) {
		u := resolve(t, url, m[1]+m[2])
		all = append(all, mediaList{"audio", u, downloadText(t, u)})
	}
	return all
}

// parseMedia splits a media playlist at its init segments and discontinuities.
func parseMedia(t testing.TB, l mediaList) (all []group) {
	t.Helper()
	for line := range strings.Lines(l.text) {
		line = strings.TrimSpace(line)
		if m := mapped.FindStringSubmatch(line); m != nil {
			all = append(all, group{kind: l.kind, init: resolve(t, l.url, m[1])})
		}
		if line == "#EXT-X-DISCONTINUITY" && len(all) > 0 && len(all[len(all)-1].media) > 0 {
			all = append(all, group{kind: l.kind, init: all[len(all)-1].init})
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(all) == 0 {
			t.Fatalf("a segment without an init segment in\n%s", l.text)
		}
		g := &all[len(all)-1]
		g.media = append(g.media, resolve(t, l.url, line))
	}
	return slices.DeleteFunc(all, func(g group) bool { return g.media == nil }) // both, one behind the other
}

// united puts the groups of one init segment behind each other together.
func united(all []group) (groups []group) {
	for _, g := range all {
		if n := len(groups); n > 0 && groups[n-1].init == g.init {
			groups[n-1].media = append(groups[n-1].media, g.media...)
			continue
		}
		groups = append(groups, g)
	}
	return groups
}

// manifest is what these tests need of an MPD.
type manifest struct{ sets []adaptationSet }

type adaptationSet struct {
	kind, base, init, media string
	first, segments         int
	t                       testing.TB
}

func (a adaptationSet) url(uri string) string {
	return resolve(a.t, a.base, strings.ReplaceAll(uri, "$RepresentationID$", ""))
}

// parseManifest fetches an MPD with SegmentTimelines.
func parseManifest(t testing.TB, url string) manifest {
	t.Helper()
	type template struct {
		Init  string `xml:"initialization,attr"`
		Media string `xml:"media,attr"`
		First int    `xml:"startNumber,attr"`
		S     []struct {
			R int `xml:"r,attr"`
		} `xml:"SegmentTimeline>S"`
	}
	var mpd struct {
		Sets []struct {
			Kind     string   `xml:"contentType,attr"`
			MIME     string   `xml:"mimeType,attr"`
			Template template `xml:"SegmentTemplate"`
			In       []struct {
				MIME     string   `xml:"mimeType,attr"`
				Template template `xml:"SegmentTemplate"`
			} `xml:"Representation"`
		} `xml:"Period>AdaptationSet"`
	}
	text := download(t, url)
	if err := xml.Unmarshal(text, &mpd); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var m manifest
	for _, s := range mpd.Sets {
		if len(s.In) != 1 {
			t.Fatalf("%d representations in\n%s", len(s.In), text)
		}
		template, kind := s.Template, s.Kind
		if template.Media == "" {
			template = s.In[0].Template
		}
		if kind == "" {
			kind, _, _ = strings.Cut(s.MIME+s.In[0].MIME, "/")
		}
		set := adaptationSet{kind: kind, base: url, init: template.Init, media: template.Media, first: max(template.First, 1), t: t}
		for _, s := range template.S {
			set.segments += 1 + s.R
		}
		if set.segments == 0 || !strings.Contains(set.media, "$Number$") {
			t.Fatalf("no segments in\n%s", text)
		}
		m.sets = append(m.sets, set)
	}
	if len(m.sets) == 0 {
		t.Fatalf("no adaptation sets in\n%s", text)
	}
	return m
}

// save writes the group's segments one after another into a file.
func (g group) save(t testing.TB, suffix string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), g.kind+suffix)
	var b []byte
	if g.init != "" {
		b = download(t, g.init)
	}
	for _, u := range g.media {
		b = append(b, download(t, u)...)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// inspectSegments lets a second parser read every segment of the group, and ffprobe all of
// them in one file. Segments must begin with a frame that can be decoded by itself, and each byte of
// their mdat must belong to a sample. It returns when the first frame is presented, in seconds.
func inspectSegments(t *testing.T, file string, g group) (begin float64) {
	t.Helper()
	boxes := walk(t, g.init, download(t, g.init))
	if len(boxes["ftyp"]) != 1 || len(boxes["moov/trak"]) != 1 || len(boxes["moov/mvex/trex"]) != 1 || boxes["mdat"] != nil {
		t.Errorf("%s: %d ftyp, %d tracks, %d trex", g.init, len(boxes["ftyp"]), len(boxes["moov/trak"]), len(boxes["moov/mvex/trex"]))
	}
	scale := float64(boxes["moov/trak/mdia/mdhd"][0].box.(*mp4.Mdhd).Timescale)
	count := 0
	for i, u := range g.media {
		b := download(t, u)
		boxes := walk(t, u, b)
		if len(boxes["moof/traf/trun"]) != 1 || len(boxes["mdat"]) != 1 || len(boxes["moof/traf/tfdt"]) != 1 {
			t.Fatalf("%s: not one moof with one run and one mdat", u)
		}
		run, head, mdat := boxes["moof/traf/trun"][0].box.(*mp4.Trun), boxes["moof/traf/tfhd"][0].box.(*mp4.Tfhd), boxes["mdat"][0].info
		moof := boxes["moof"][0].info
		bytesOfSamples := uint64(0)
		for _, e := range run.Entries {
			size := e.SampleSize
			if !run.CheckFlag(0x200) {
				size = head.DefaultSampleSize
			}
			bytesOfSamples += uint64(size)
		}
		if bytesOfSamples != mdat.Size-mdat.HeaderSize || moof.Offset+uint64(run.DataOffset) != mdat.Offset+mdat.HeaderSize {
			t.Errorf("%s: samples have %d bytes from %d on, mdat has %d from %d on", u, bytesOfSamples, moof.Offset+uint64(run.DataOffset), mdat.Size-mdat.HeaderSize, mdat.Offset+mdat.HeaderSize)
		}
		if flags := firstFlags(run, head); g.kind == "video" && flags&0x10000 != 0 {
			t.Errorf("%s: the first sample is not a sync sample: flags %x", u, flags)
		}
		count += len(run.Entries)
		if i == 0 {
			begin = float64(earliest(boxes["moof/traf/tfdt"][0].box.(*mp4.Tfdt).GetBaseMediaDecodeTime(), run, head)) / scale
		}
	}
	probeSamples(t, file, count)
	return begin
}

// earliest is when the first of a run's samples is presented.
func earliest(decode uint64, run *mp4.Trun, head *mp4.Tfhd) int64 {
	first, at := int64(math.MaxInt64), int64(decode)
	for i, e := range run.Entries {
		first = min(first, at+run.GetSampleCompositionTimeOffset(i))
		if run.CheckFlag(0x100) {
			at += int64(e.SampleDuration)
		} else {
			at += int64(head.DefaultSampleDuration)
		}
	}
	return first
}

// firstFlags are the flags of a run's first sample.
func firstFlags(run *mp4.Trun, head *mp4.Tfhd) uint32 {
	switch {
	case run.CheckFlag(0x4):
		return run.FirstSampleFlags
	case run.CheckFlag(0x400):
		return run.Entries[0].SampleFlags
	}
	return head.DefaultSampleFlags
}

// probeSamples lets ffprobe count the packets of a file. It must not complain.
func probeSamples(t *testing.T, file string, want int) {
	t.Helper()
	out, complaints, err := try(t, environment(), nil, "ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", file)
	if got := strings.Count(strings.TrimSpace(out), "\n") + 1; err != nil || complaints != "" || got != want {
		t.Errorf("ffprobe finds %d samples, %d are in the segments: %v %s", got, want, err, complaints)
	}
}

// found is a box where a walk found it.
type found struct {
	info mp4.BoxInfo
	box  mp4.IBox // nil for mdat
}

// walk reads all boxes of a file with go-mp4, by their paths.
func walk(t *testing.T, name string, b []byte) map[string][]found {
	t.Helper()
	all := map[string][]found{}
	end := uint64(0)
	_, err := mp4.ReadBoxStructure(bytes.NewReader(b), func(h *mp4.ReadHandle) (any, error) {
		var path []string
		for _, p := range h.Path {
			path = append(path, p.String())
		}
		f := found{info: h.BoxInfo}
		if len(path) == 1 {
			end = h.BoxInfo.Offset + h.BoxInfo.Size
		}
		defer func() { all[strings.Join(path, "/")] = append(all[strings.Join(path, "/")], f) }()
		if kind := path[len(path)-1]; kind == "mdat" || !h.BoxInfo.IsSupportedType() {
			if kind != "mdat" && kind != "fLaC" {
				t.Errorf("%s: go-mp4 does not know the box %s", name, strings.Join(path, "/"))
			}
			return nil, nil
		}
		box, n, err := h.ReadPayload()
		if err != nil {
			return nil, err
		}
		f.box = box
		if children, err := h.Expand(); err != nil || len(children) == 0 && n != h.BoxInfo.Size-h.BoxInfo.HeaderSize {
			if err == nil {
				t.Errorf("%s: %s has %d bytes behind its fields", name, strings.Join(path, "/"), h.BoxInfo.Size-h.BoxInfo.HeaderSize-n)
			}
			return nil, err
		}
		return box, nil
	})
	if err != nil {
		t.Fatalf("%s: go-mp4 cannot read it: %v", name, err)
	}
	if end != uint64(len(b)) {
		t.Errorf("%s: boxes end at %d of %d bytes", name, end, len(b))
	}
	return all
}

// inspectClip lets a second parser read a clip. Its moov must be in front, and all samples lie
// within mdat.
func inspectClip(t *testing.T, clip []byte) {
	t.Helper()
	boxes := walk(t, "clip", clip)
	if len(boxes["moov"]) != 1 || len(boxes["mdat"]) == 0 || boxes["moov"][0].info.Offset > boxes["mdat"][0].info.Offset || boxes["moof"] != nil {
		t.Fatalf("a clip is not one moov and mdat behind it")
	}
	probed, err := mp4.Probe(bytes.NewReader(clip))
	if err != nil {
		t.Fatalf("go-mp4 cannot probe a clip: %v", err)
	}
	mdat := boxes["mdat"][0].info
	used := uint64(0)
	for _, track := range probed.Tracks {
		samples, inChunks := len(track.Samples), 0
		sample := 0
		for _, chunk := range track.Chunks {
			at := chunk.DataOffset
			for range chunk.SamplesPerChunk {
				if sample == samples {
					break
				}
				at += uint64(track.Samples[sample].Size)
				sample++
			}
			inChunks += int(chunk.SamplesPerChunk)
			if chunk.DataOffset < mdat.Offset+mdat.HeaderSize || at > mdat.Offset+mdat.Size {
				t.Errorf("track %d: a chunk at %d to %d is not within mdat", track.TrackID, chunk.DataOffset, at)
			}
			used += at - chunk.DataOffset
		}
		if inChunks != samples {
			t.Errorf("track %d: %d samples in chunks, %d have a size", track.TrackID, inChunks, samples)
		}
	}
	if used != mdat.Size-mdat.HeaderSize {
		t.Errorf("samples have %d bytes, mdat %d", used, mdat.Size-mdat.HeaderSize)
	}
	if complaints := complaintsAbout(t, clip); complaints != "" {
		t.Errorf("ffprobe of a clip: %s", complaints)
	}
}

// complaintsAbout is what ffprobe says of a file.
func complaintsAbout(t *testing.T, b []byte) string {
	t.Helper()
	_, complaints, err := try(t, environment(), io.Reader(bytes.NewReader(b)), "ffprobe", "-v", "error", "-show_streams", "-")
	if err != nil && complaints == "" {
		complaints = err.Error()
	}
	return complaints
}
