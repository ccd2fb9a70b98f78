package server

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/ingest/lint"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/mkv"
)

// frameOf is a block of the first track, with its time in the cluster.
func frameOf(time int16) []byte {
	return mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Time: time, Key: time == 0}, []byte("frame"))
}

// clusterFrom is a cluster with its timecode counted from the epoch.
func clusterFrom(ms int, blocks ...[]byte) []byte {
	return append(mkv.AppendClusterUnknown(nil, uint64(epoch+ms)), slices.Concat(blocks...)...)
}

// items are metadata in front of the next cluster.
func items(n int, name, value string) []byte {
	var tags []mkv.Tag
	for range n {
		tags = append(tags, mkv.Tag{Simple: []mkv.SimpleTag{{Name: name, Value: value}}})
	}
	return mkv.AppendTags(nil, tags)
}

// documentWith is what comes in front of the first cluster of so many tracks.
func documentWith(tracks int) []byte {
	b := mkv.AppendInfo(mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{})), &mkv.Info{MuxingApp: "test"})
	var all []mkv.Track
	for i := range uint64(tracks) {
		all = append(all, mkv.Track{Number: i + 1, UID: i + 1, Type: mkv.VideoTrack, CodecID: "V_X"})
	}
	return mkv.AppendTracks(b, all)
}

// broken is media that a server refuses, in every way that a body can bring about.
var broken = []struct {
	cause   string // of the first refusal
	profile quota.Profile
	body    []byte
}{
	{"body-broke-off", "", slices.Concat(documentOf(), clusterOf(0), clusterOf(1)[:700])},
	{"body-broke-off", "", documentOf()[:45]},
	{"fragment-too-large", "", slices.Concat(documentOf(), clusterFrom(0, mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1}, make([]byte, 50_000_001))), clusterOf(1))},
	{"fragment-too-long", "", slices.Concat(documentOf(), clusterOf(0), clusterFrom(1000, frameOf(0), frameOf(20_001)), clusterOf(30))},
	{"timecode-not-greater", "", slices.Concat(documentOf(), clusterOf(1), clusterOf(0), clusterOf(1), clusterOf(2))},
	{"frames-overlap", quota.AWS, slices.Concat(documentOf(), clusterFrom(0, frameOf(0), frameOf(1500)), clusterFrom(1000, frameOf(0), frameOf(1000)))},
	{"too-many-tracks", "", slices.Concat(documentWith(4), clusterOf(0))},
	{"not-matroska", "", []byte("\x00\x00\x00\x20ftypisom and so on")},
	{"broken-element", "", slices.Concat(documentOf(), clusterOf(0), []byte{0, 1, 2, 3})},
	{"no-cluster", "", documentOf()},
	{"no-tracks", "", slices.Concat(mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{})), clusterOf(0))},
	{"second-document", "", slices.Concat(documentOf(), clusterOf(0), documentOf(), clusterOf(1))},
	{"second-document", "", slices.Concat(mediatest.Bytes("ffmpeg-h264"), mediatest.Bytes("ffmpeg-h264"))},
	{"broken-element", "", slices.Concat(documentOf(), clusterOf(0), mkv.AppendElement(nil, mkv.IDTimecode, []byte{1}))},
	{"header-too-large", "", slices.Concat(documentOf(), mkv.AppendVoid(nil, 1<<20), clusterOf(0))},
	{"element-too-large", "", slices.Concat(documentOf(), clusterOf(0), items(1, "name", strings.Repeat("v", 200<<10)), clusterOf(1))},
	{"producer-time", "", slices.Concat(documentOf(), mkv.AppendClusterUnknown(nil, 1<<60), frameOf(0))},
	{"too-many-metadata-items", "", slices.Concat(documentOf(), clusterOf(0), items(11, "n", "v"), clusterOf(1), clusterOf(2))},
	{"metadata-name-too-long", "", slices.Concat(documentOf(), clusterOf(0), items(1, strings.Repeat("n", 129), "v"), clusterOf(1))},
	{"metadata-value-too-long", "", slices.Concat(documentOf(), clusterOf(0), items(1, "n", strings.Repeat("v", 257)), clusterOf(1))},
	{"image-prefix-too-long", "", slices.Concat(documentOf(), clusterOf(0), items(1, "AWS_KINESISVIDEO_IMAGE_PREFIX", strings.Repeat("v", 257)), clusterOf(1))},
	{"undeclared-track", "", slices.Concat(documentOf(), clusterOf(0), foreignFrame, clusterOf(1), clusterOf(2), foreignFrame)},
	{"track-without-frame", "", slices.Concat(documentWith(2), clusterOf(0), clusterOf(1))},
	{"track-without-frame", "", mediatest.Bytes("ffmpeg-h264-aac")},
	{"fragment-without-frame", "", slices.Concat(documentOf(), clusterFrom(0), clusterOf(1))},
	{"metadata-name-reserved", "", slices.Concat(documentOf(), clusterOf(0), items(1, "AWS_X", "v"), clusterOf(1))},
	{"fragment-too-short", quota.AWS, slices.Concat(documentOf(), clusterFrom(0, frameOf(0), frameOf(100)), clusterOf(1), clusterOf(2))},
}

// notByMedia are the ways of failing that no body brings about by itself.
var notByMedia = map[string]bool{"displaced": true, "server-stopped": true, "no-data": true, "held-memory": true, "fragment-too-slow": true, "no-memory": true, "acks-unread": true,
	"session-too-old": true, "rights-lost": true, "stream-deleted": true, "internal": true, "not-stored": true,
	"key-denied": true, "key-disabled": true, "key-validation": true, "key-unavailable": true, "key-invalid-usage": true, "key-invalid-state": true, "key-not-found": true}

// places is what both reports must say of each refusal, in the order of the media.
func places(all []rejection.Entry) string {
	slices.SortStableFunc(all, func(a, b rejection.Entry) int {
		return cmp.Or(cmp.Compare(a.First.Offset, b.First.Offset), cmp.Compare(a.Last.Case, b.Last.Case))
	})
	var lines []string
	for _, e := range all {
		lines = append(lines, fmt.Sprint(e.Count, " times ", e.Last.Scope, e.Last.Code, e.Last.Error, e.Last.Case, e.Last.Fix, e.Last.Limit))
		for _, r := range []rejection.Refusal{e.First, e.Last} {
			lines = append(lines, fmt.Sprint("  offset ", r.Offset, " began ", r.Began, " timecode ", r.Timecode, " track ", r.Track, " frame ", r.Frame, " told ", r.Told, " ", r.Why))
		}
	}
	return strings.Join(lines, "\n")
}

// What lint says of a file before it is sent, the server says of it afterwards.
func TestLintAndTheServerAgree(t *testing.T) {
	plants := map[quota.Profile]*plant{
		"": newPlant(t, nil), quota.AWS: newPlant(t, func(c *config.Config) { c.Profile = quota.AWS }),
	}
	seen := map[string]bool{}
	for i, b := range broken {
		t.Run(fmt.Sprint(i, " ", b.cause), func(t *testing.T) {
			p := plants[b.profile]
			stream := fmt.Sprint("s", i)
			p.create(stream, 24)
			p.send(stream, b.body)
			theirs := p.why(of(stream)).Rejections
			report, err := lint.Check(t.Context(), bytes.NewReader(b.body), lint.Options{Profile: b.profile})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := places(report.Refusals), places(theirs); got != want {
				t.Errorf("lint says\n%s\nthe server says\n%s", got, want)
			}
			if len(theirs) == 0 || theirs[0].First.Case != b.cause {
				t.Errorf("the server says\n%s", places(theirs))
			}
			seen[b.cause] = true
		})
	}
	for _, c := range ingest.Cases() {
		if seen[c.Name] == notByMedia[c.Name] {
			t.Errorf("%s: want a row in the table of broken media, or a line in that of what media cannot bring about", c.Name)
		}
	}
}

// Media that lint finds nothing in are taken.
func TestWhatLintLetsPassIsTaken(t *testing.T) {
	p := newPlant(t, nil)
	for _, c := range mediatest.Clips() {
		report, err := lint.Check(t.Context(), bytes.NewReader(c.Bytes()), lint.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p.create(c.Name, 24)
		p.send(c.Name, c.Bytes())
		kept := len(p.list(c.Name))
		if out := p.why(of(c.Name)); int64(len(out.Rejections)) != int64(len(report.Refusals)) || int64(kept) != report.Fragments.Kept {
			t.Errorf("%s: the server refused %d and kept %d, lint says %+v", c.Name, len(out.Rejections), kept, report)
		}
	}
}
