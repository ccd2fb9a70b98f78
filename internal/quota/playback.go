package quota

// Clips, images, playback sessions and the points that archived fragments cost: limits
// sheet, sections 3, 4 and 5.

const hls, dash, clip, images = "GetHLSStreamingSessionURL", "GetDASHStreamingSessionURL", "GetClip", "GetImages"

// Clips and images.
var (
	ClipBytes = bytes(Limit{Name: "GetClip.bytes", Scope: Stream, AWS: 100_000_000, Hard: true, Section: "3", Operation: clip, Room: "api/clips",
		Breach: "the clip ends there", Help: "size of a clip"})
	ClipFragments = count(Limit{Name: "GetClip.fragments", Scope: Stream, AWS: 200, Hard: true, Section: "3", Operation: clip, Room: "api/clips",
		Breach: "the clip ends there", Help: "fragments of a clip"})
	ImageBytes = bytes(Limit{Name: "GetImages.bytes", Scope: Stream, Open: 100_000_000, AWS: 100_000_000, Hard: true, Section: "3", Operation: images, Room: "api/archived",
		Breach: "the page ends there", Help: "size of an answer"})
	ImageCount = count(Limit{Name: "GetImages.images", Scope: Stream, Open: 100, AWS: 100, Hard: true, Section: "3", Operation: images, Room: "api/archived",
		Breach: "InvalidArgumentException", Help: "images of a request"})
	ImageRange = span(Limit{Name: "GetImages.range", Scope: Stream, AWS: 300, Hard: true, Section: "3", Operation: images, Room: "api/archived",
		Breach: "InvalidArgumentException", Help: "time from start to end of a request"})
	ImageInterval = span(Limit{Name: "GetImages.interval", Scope: Stream, Open: 0.2, AWS: 0.2, Hard: true, Section: "3", Operation: images, Room: "api/archived",
		Breach: "InvalidArgumentException", Help: "time between two images, at least"})
)

// Playback sessions: the requests behind a session URL.
var (
	HLSMasterRate     = often(session("GetHLSMasterPlaylist", hls, 5))
	HLSMediaRate      = often(session("GetHLSMediaPlaylist", hls, 5))
	DASHManifestRate  = often(session("GetDASHManifest", dash, 5))
	MP4InitRate       = often(session("GetMP4InitFragment", hls, 5))
	MP4MediaRate      = often(session("GetMP4MediaFragment", hls, 20))
	TSRate            = often(session("GetTSFragment", hls, 20))
	HLSFragments      = count(listed("GetHLSMediaPlaylist", hls))
	DASHFragments     = count(listed("GetDASHManifest", dash))
	PlaybackRange     = span(Limit{Name: "playback.range", Scope: Stream, AWS: 24 * 3600, Hard: true, Section: "4", Operation: hls, Room: "api/sessionurl", Breach: "InvalidArgumentException", Help: "time range of a playback session or a clip"})
	PlaybackLive      = span(Limit{Name: "playback.live", Scope: Stream, Open: 30, AWS: 30, Hard: true, Section: "4", Operation: hls, Room: "playback", Breach: "ResourceNotFoundException", Help: "age of the newest fragment when a LIVE session begins, and while one goes on that breaks at pauses"})
	PlaybackCodecSets = count(Limit{Name: "playback.codec-changes", Scope: Stream, AWS: 500, Hard: true, Section: "4", Operation: hls, Room: "api/play", Breach: "UnsupportedStreamMediaTypeException", Help: "changes of the codec's private data in a session"})
)

// session is the rate of an action of one playback session.
func session(action, operation string, perSecond Value) Limit {
	return Limit{Name: action + ".session-rate", Scope: Stream, AWS: perSecond, Hard: true, Section: "4", Operation: operation, Room: "api/play",
		Breach: tooFast, Help: "requests of one playback session"}
}

// listed is the length of a playlist; our own bound, too, as one is built in memory.
func listed(action, operation string) Limit {
	return Limit{Name: action + ".fragments", Scope: Stream, Open: 5000, AWS: 5000, Hard: true, Section: "4", Operation: operation, Room: "api/sessionurl", Most: 5000,
		Breach: "the list ends there", Help: "fragments of one playlist or manifest"}
}

// Quota points: what archived fragments cost, by the stream, whatever the operation.
var (
	MetadataPoints = often(Limit{Name: "points.metadata", Scope: Stream, AWS: 10_000, Hard: true, Section: "5", Operation: "ListFragments", Room: "api/archived",
		Breach: tooFast, Help: "fragments whose metadata are asked for, by all operations together"})
	MediaPoints = often(Limit{Name: "points.media", Scope: Stream, AWS: 500, Hard: true, Section: "5", Operation: pick, Room: "api/archived",
		Breach: tooFast, Help: "fragments whose media are asked for, by all operations together"})
)

// What a call costs (section 5).
var _ = points(map[string]cost{
	"ListFragments":       {metadata: 1, most: ListMaxResults.Limit},
	"GetHLSMediaPlaylist": {metadata: 1},
	"GetDASHManifest":     {metadata: 1},
	clip:                  {metadata: 1, media: 1},
	images:                {metadata: 1, media: 1, base: 400},
	pick:                  {media: 1, most: PickFragments.Limit},
	"GetMP4MediaFragment": {media: 1},
	"GetTSFragment":       {media: 1},
})

func points(all map[string]cost) int {
	for name, c := range all {
		operation(name).points = c
	}
	return len(all)
}
