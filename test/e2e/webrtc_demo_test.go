package e2e

import (
	"net/http"
	"testing"
)

// moving waits until the first video of a page has shown so many pictures that differ, and
// returns how many it showed, of which size.
const moving = `(async () => {
  const canvas = new OffscreenCanvas(64, 36), context = canvas.getContext('2d', { willReadFrequently: true });
  const differ = new Set();
  let video, shown = 0;
  while (!(video = document.querySelector('video'))) await new Promise((resolve) => setTimeout(resolve, 20));
  while (differ.size < 10) {
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    shown++;
    context.drawImage(video, 0, 0, 64, 36);
    differ.add(context.getImageData(0, 0, 64, 36).data.join());
  }
  return { shown, width: video.videoWidth, height: video.videoHeight };
})()`

// The page of serve --dev shows the built-in master of the channel demo by itself (H3): moving
// pictures, in as many browsers as come. The sample page's viewer finds it as well, directly and
// through the relay alone (H6).
func TestJavaScriptWebRTCDemoPage(t *testing.T) {
	t.Parallel()
	s := serve(t, "--dev")
	if r, err := http.Get(s.http + "/demo/webrtc/kvs-webrtc.min.js"); err != nil {
		t.Fatal(err)
	} else if _ = r.Body.Close(); r.StatusCode != http.StatusOK {
		t.Fatalf("bin/millrace was built without the SDK that the page needs (%s): run make e2e, or make demo-player build", r.Status)
	}
	b := s.browse(t)
	for range 2 {
		var seen struct{ Shown, Width, Height int }
		b.open(t, s.http+"/demo/webrtc", "document.querySelector('video')").evaluate(t, moving, &seen)
		if seen.Width < 160 || seen.Height < 90 {
			t.Errorf("the page shows %+v", seen)
		}
	}
	for _, nat := range []string{"all", "relay"} {
		ask := rtcViewer("demo", "nat-"+nat)
		ask.NAT = nat
		seen := b.join(t, s, ask).until(t, want{Calls: []string{""}, Said: 1})
		seen.untroubled(t)
		call := seen.Calls[""]
		call.chosen(t)
		if got := call.Pair.Local.Type; len(seen.IceServers) == 0 || nat == "relay" && got != "relay" {
			t.Errorf("with NAT option %s the viewer is at %s of %+v", nat, got, seen.IceServers)
		}
	}
}
