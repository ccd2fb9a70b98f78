package server

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// why asks ListRejections.
func (p *plant) why(in rejectionsInput) (out rejections) {
	p.t.Helper()
	if err := p.Admin(p.t.Context(), "ListRejections", in, &out); err != nil {
		p.t.Fatal(err)
	}
	return out
}

// of is the input that names a stream.
func of(stream string) (in rejectionsInput) {
	in.StreamName = &stream
	return in
}

// send sends a whole body and waits for the end of the session.
func (p *plant) send(stream string, body ...[]byte) []client.Ack {
	p.t.Helper()
	u, err := p.PutMedia(context.Background(), client.PutMediaRequest{StreamName: stream, Body: bytes.NewReader(slices.Concat(body...))})
	if err != nil {
		p.t.Fatal(err)
	}
	defer u.Close()
	acks, err := (&upload{Upload: u, t: p.t}).rest()
	if err != nil {
		p.t.Fatal(err)
	}
	return acks
}

// foreignFrame is a block of a track that no header declares.
var foreignFrame = mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 5, Key: true}, []byte("x"))

// Whoever asks hears what was refused, and only of what is theirs.
func TestListRejections(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.create("gate", 0)
	if out := p.why(of("yard")); len(out.Rejections) != 0 || out.Newest != nil || out.Sessions != 0 {
		t.Errorf("of a new stream: %+v", out)
	}
	acks := p.send("yard", documentOf(), clusterOf(0), clusterOf(1), foreignFrame, clusterOf(2), foreignFrame)
	failed := slices.DeleteFunc(acks, func(a client.Ack) bool { return a.Type != client.Failed })
	if len(failed) != 2 {
		t.Fatalf("acknowledged %+v", acks)
	}
	out := p.why(of("yard"))
	if len(out.Rejections) != 1 {
		t.Fatalf("got %+v", out)
	}
	e := out.Rejections[0]
	offset := int64(len(documentOf()) + 2*len(clusterOf(0)))
	if e.Count != 2 || e.First.Number != failed[0].Number || e.Last.Number != failed[1].Number || e.First.Offset != offset || e.First.Track != 5 ||
		e.First.Code != 4010 || e.First.Timecode != failed[0].Timecode || e.First.Producer.UnixMilli() != epoch+1000 || e.First.Frame != 6 || !strings.Contains(p.log.String(), e.First.Request) || e.First.Client == "" {
		t.Errorf("got %+v", e)
	}
	if out.Newest == nil || out.Newest.Number != p.list("yard")[0] {
		t.Errorf("the newest fragment is said to be %+v", out.Newest)
	}

	// A call that was refused before its body was read.
	_, err := p.PutMedia(t.Context(), client.PutMediaRequest{StreamName: "gate", TimecodeType: "NEITHER", Body: strings.NewReader("")})
	if err == nil {
		t.Fatal("accepted")
	}
	live := p.put("gate")
	live.write(clusterOf(0), endOfFragment)
	live.until(client.Received)
	out = p.why(of("gate"))
	if len(out.Rejections) != 1 || out.Sessions != 1 || out.Newest == nil {
		t.Fatalf("got %+v", out)
	}
	if e := out.Rejections[0].Last; e.Scope != rejection.Request || e.Code != 400 || e.Error != "InvalidArgumentException" || e.Case != "bad-header" || !strings.Contains(e.Why, "NEITHER") || e.Offset != -1 {
		t.Errorf("got %+v", e)
	}

	var since rejectionsInput
	if all := p.why(since).Streams; len(all) != 2 || all[0].StreamName != "gate" || all[1].StreamName != "yard" || all[1].Count != 2 {
		t.Errorf("got %+v", all)
	}
	since.Since = time.Now().Add(time.Hour)
	if all := p.why(since).Streams; len(all) != 0 {
		t.Errorf("since tomorrow: %+v", all)
	}

	// Another account has none of it, and a deleted stream leaves nothing.
	if err := p.keys.EnsureKey(t.Context(), "999988887777", "AKIAELSEWHERE0000000", "elsewhere"); err != nil {
		t.Fatal(err)
	}
	stranger := p.clientOf("https")
	stranger.Credentials = sigv4.Credentials{AccessKey: "AKIAELSEWHERE0000000", Secret: "elsewhere"}
	var theirs rejections
	if err := stranger.Admin(t.Context(), "ListRejections", nil, &theirs); err != nil || len(theirs.Streams) != 0 {
		t.Errorf("a stranger got %+v, %v", theirs, err)
	}
	if err := stranger.Admin(t.Context(), "ListRejections", of("yard"), &theirs); err == nil || !strings.Contains(err.Error(), "ResourceNotFound") {
		t.Errorf("a stranger got %v", err)
	}
	var describe wire.DescribeStreamOutput
	p.ask("DescribeStream", &wire.DescribeStreamInput{StreamName: new("yard")}, &describe)
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: describe.StreamInfo.StreamARN}, nil)
	if all := p.why(rejectionsInput{}).Streams; len(all) != 1 || all[0].StreamName != "gate" {
		t.Errorf("after the deletion: %+v", all)
	}
}

// What was refused is known after a restart.
func TestRejectionsOutliveARestart(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.send("yard", documentOf(), clusterOf(0), foreignFrame)
	before := p.why(of("yard")).Rejections
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	q := newPlant(t, func(c *config.Config) { c.Data = p.config.Data })
	after := q.why(of("yard")).Rejections
	if len(before) != 1 || len(after) != 1 || after[0].First != before[0].First || after[0].Count != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}
