package sdp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// head begins every description of these tests.
const head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

func codecs(t *testing.T, text string) []Medium {
	t.Helper()
	m, err := Codecs(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	browser = head + "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n" +
		"a=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01F\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=rtpmap:111 opus/48000/2\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
	device = head + "m=video 9 UDP/TLS/RTP/SAVPF 98\r\na=rtpmap:98 h264/90000\r\na=fmtp:98 profile-level-id=640028\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 8\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"
)

func TestCodecs(t *testing.T) {
	got := fmt.Sprint(codecs(t, browser), codecs(t, device))
	want := "[{video false [VP8/90000 H264/90000 42e01f]} {audio false [opus/48000/2 PCMU/8000]} {application false [webrtc-datachannel]}] " +
		"[{video false [h264/90000 640028]} {audio false [PCMA/8000]} {application true [webrtc-datachannel]}]"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestGaps(t *testing.T) {
	offer, answer := codecs(t, browser), codecs(t, device)
	got := fmt.Sprint(Gaps(offer, answer))
	if want := "[{audio false [opus/48000/2 PCMU/8000] [PCMA/8000]} {application true [webrtc-datachannel] [webrtc-datachannel]}]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if gaps := Gaps(offer, offer); gaps != nil {
		t.Error(gaps)
	}
	if gaps := Gaps(offer, nil); len(gaps) != 3 || !gaps[0].Refused {
		t.Error("an answer without media refuses all: ", gaps)
	}
	if gaps := Gaps(answer, offer[:2]); len(gaps) != 1 {
		t.Error("what was not offered was not refused: ", gaps)
	}
	mono := []Medium{{Kind: "audio", Codecs: []string{"L16/44100"}}}
	if gaps := Gaps(mono, []Medium{{Kind: "audio", Codecs: []string{"l16/44100/1"}}}); gaps != nil {
		t.Error("one channel is the same as none: ", gaps)
	}
	if m := codecs(t, head+"m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=bundle-only\r\na=rtpmap:96 VP8/90000\r\n"); m[0].Refused {
		t.Error("a bundled medium is not refused")
	}
}

func TestText(t *testing.T) {
	payload := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(text)
	}
	if text, err := Text(payload(map[string]string{"type": "offer", "sdp": browser})); err != nil || text != browser {
		t.Error(text, err)
	}
	for name, p := range map[string]string{"no base64": "%", "no JSON": "AAAA", "a number": payload(map[string]int{"sdp": 1}), "long": strings.Repeat("AAAA", maxText)} {
		if _, err := Text(p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// What is looked at of a description is bounded.
func TestBounds(t *testing.T) {
	if _, err := Codecs(browser + strings.Repeat("a=x\r\n", maxText/5)); err == nil {
		t.Error("too long a description is looked at")
	}
	many := codecs(t, head+strings.Repeat("m=audio 9 RTP/AVP 0\r\n", 100))
	if len(many) != maxMedia {
		t.Errorf("%d media", len(many))
	}
	var lines, numbers strings.Builder
	for i := range 500 {
		fmt.Fprintf(&numbers, " %d", i)
		fmt.Fprintf(&lines, "a=rtpmap:%d X%d%s/90000\r\n", i, i, strings.Repeat("y", 40))
	}
	m := codecs(t, head+"m=video 9 RTP/AVP"+numbers.String()+"\r\n"+lines.String())
	if len(m[0].Codecs) != maxFormats {
		t.Errorf("%d formats", len(m[0].Codecs))
	}
	if long := codecs(t, head+"m=video 9 RTP/AVP 96\r\na=rtpmap:96 "+strings.Repeat("y", 1000)+"/1\r\n"); len(long[0].Codecs[0]) != maxName {
		t.Error(long)
	}
}

func FuzzCodecs(f *testing.F) {
	f.Add(browser, device)
	f.Add(head, "m=")
	f.Add(head+"m=video 0/2 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\nb=AS:1\r\na=rtpmap:96 \r\na=fmtp:96 profile-level-id=é\r\n", "")
	f.Fuzz(func(t *testing.T, one, other string) {
		a, err := Codecs(one)
		if err != nil {
			return
		}
		b, _ := Codecs(other)
		if len(a) > maxMedia || len(Gaps(a, b)) > len(a) || len(Gaps(a, nil)) > maxMedia {
			t.Fatal("out of bounds")
		}
		for _, m := range a {
			if len(m.Codecs) > maxFormats {
				t.Fatal("out of bounds")
			}
			if len(m.Codecs) > 0 && !m.Refused && len(Gaps([]Medium{m}, []Medium{m})) > 0 {
				t.Fatalf("%v has nothing in common with itself", m)
			}
		}
	})
}
