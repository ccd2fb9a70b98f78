package codec

import "testing"

// A fragment's tracks are read once for each of its configurations.
func BenchmarkTracks(b *testing.B) {
	for _, clip := range []string{"ffmpeg-h264-aac", "ffmpeg-h265"} {
		b.Run(clip, func(b *testing.B) {
			h := header(b, clip)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Tracks(h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	for _, r := range recordings(b) {
		switch r.name {
		case "high-pyramid", "start-codes", "hevc-layers", "hevc-start-codes", "aac-stereo", "alaw":
			b.Run(r.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Of(&r.track); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
