package quota

// PutMedia, GetMedia and GetMediaForFragmentList: limits sheet, sections 3 and 3.1, and
// the metadata of section 6.

const put, get, pick = "PutMedia", "GetMedia", "GetMediaForFragmentList"

// PutMedia: its sessions.
var (
	PutSessions = count(Limit{Name: "PutMedia.sessions", Scope: Stream, AWS: 1, Section: "3", Operation: put, Room: "ingest",
		Breach: "the newest wins: the oldest session takes no new fragment, sends its acknowledgements and ends", Help: "PutMedia sessions of one stream"})
	PutBandwidth = bandwidth(Limit{Name: "PutMedia.bandwidth", Scope: Stream, AWS: 12_500_000, Hard: true, Section: "3", Operation: put, Room: "ingest",
		Breach: slower, Help: "what all producers of a stream send together"})
	PutFragmentRate = often(Limit{Name: "PutMedia.fragment-rate", Scope: Stream, AWS: 5, Hard: true, Section: "3", Operation: put, Room: "ingest",
		Breach: slower, Help: "fragments that all producers of a stream begin together"})
	PutSessionAge = span(Limit{Name: "PutMedia.session-age", Scope: Stream, AWS: 45 * 60, Section: "3.1", Operation: put, Room: "ingest",
		Breach: "ack 4003 MAX_CONNECTION_DURATION_REACHED, then the end", Help: "age of a PutMedia session"})
	PutIdle = span(Limit{Name: "PutMedia.idle", Scope: Stream, AWS: 30, Section: "3.1", Operation: put, Room: "ingest",
		Breach: "IDLE acknowledgements, then the end", Help: "silence of a producer"})
)

// Fragments, however they come in.
var (
	FragmentBytes = bytes(Limit{Name: "fragment.bytes", Scope: Stream, Open: 50_000_000, AWS: 50_000_000, Hard: true, Section: "3", Operation: put, Room: "ingest", Most: 50_000_000,
		Breach: "ack 4001 MAX_FRAGMENT_SIZE_REACHED", Help: "size of a fragment"})
	FragmentDuration = span(Limit{Name: "fragment.duration", Scope: Stream, Open: 20, AWS: 20, Hard: true, Section: "3", Operation: put, Room: "ingest",
		Breach: "ack 4002 MAX_FRAGMENT_DURATION_REACHED", Help: "duration of a fragment, at most"})
	FragmentMinDuration = span(Limit{Name: "fragment.min-duration", Scope: Stream, AWS: 1, Hard: true, Section: "3", Operation: put, Room: "ingest",
		Breach: "ack 4013 MIN_FRAGMENT_DURATION_REACHED", Help: "duration of a fragment, at least; the last one of a session may be shorter"})
	FragmentTracks = count(Limit{Name: "fragment.tracks", Scope: Stream, Open: 3, AWS: 3, Section: "3", Operation: put, Room: "ingest",
		Breach: "ack 4005 MORE_THAN_ALLOWED_TRACKS_FOUND", Help: "tracks of a session"})
	FragmentOverlap = rule(Limit{Name: "fragment.overlap", Scope: Stream, Open: 1, AWS: 0, Hard: true, Section: "1", Operation: put, Room: "ingest",
		Breach: "ack 4004 FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS", Help: "on: a frame may be earlier than the last one of its track in the fragment before"})
	FragmentTags = count(Limit{Name: "fragment.metadata", Scope: Stream, Open: 10, AWS: 10, Hard: true, Section: "6", Operation: put, Room: "ingest",
		Breach: tooMuchMetadata, Help: "metadata items of a fragment, those for images and notifications not counted"})
	FragmentTagName = bytes(Limit{Name: "fragment.metadata-name", Scope: Stream, Open: 128, AWS: 128, Hard: true, Section: "6", Operation: put, Room: "ingest",
		Breach: tooMuchMetadata, Help: "name of a metadata item"})
	FragmentTagValue = bytes(Limit{Name: "fragment.metadata-value", Scope: Stream, Open: 256, AWS: 256, Hard: true, Section: "6", Operation: put, Room: "ingest",
		Breach: tooMuchMetadata, Help: "value of a metadata item"})
	ImagePrefix = bytes(Limit{Name: "fragment.image-prefix", Scope: Stream, Open: 256, AWS: 256, Hard: true, Section: "6", Operation: put, Room: "ingest",
		Breach: tooMuchMetadata, Help: "value of AWS_KINESISVIDEO_IMAGE_PREFIX"})
)

const tooMuchMetadata = "ack 4009 FRAGMENT_METADATA_LIMIT_REACHED"

// The live buffer of a stream that archives nothing.
var (
	BufferBytes = bytes(Limit{Name: "buffer.bytes", Scope: Server, Open: 200_000_000, AWS: 200_000_000, Hard: true, Section: "3.1", Operation: put, Room: "live",
		Breach: "the oldest fragment leaves", Help: "live buffer of a stream with retention 0"})
	BufferAge = span(Limit{Name: "buffer.age", Scope: Server, Open: 5 * 60, AWS: 5 * 60, Hard: true, Section: "3.1", Operation: put, Room: "live",
		Breach: "the oldest fragment leaves", Help: "age of a fragment in the live buffer of a stream with retention 0"})
)

// GetMedia.
var (
	GetSessions = count(Limit{Name: "GetMedia.sessions", Scope: Stream, AWS: 3, Section: "3", Operation: get, Room: "api/media",
		Breach: tooMany, Help: "GetMedia sessions of one stream"})
	GetBandwidth = bandwidth(Limit{Name: "GetMedia.bandwidth", Scope: Stream, AWS: 25_000_000, Section: "3", Operation: get, Room: "api/media",
		Breach: slower, Help: "what all GetMedia sessions of a stream get together"})
	GetFragmentRate = often(Limit{Name: "GetMedia.fragment-rate", Scope: Stream, AWS: 6, Hard: true, Section: "3", Operation: get, Room: "api/media",
		Breach: slower, Help: "fragments that one GetMedia session gets"})
	GetIdle = span(Limit{Name: "GetMedia.idle", Scope: Stream, Open: 3, AWS: 3, Section: "3.1", Operation: get, Room: "playback",
		Breach: "the answer ends", Help: "time without media in a GetMedia session"})
)

// GetMediaForFragmentList.
var (
	PickSessions = count(Limit{Name: "GetMediaForFragmentList.sessions", Scope: Stream, AWS: 5, Section: "3", Operation: pick, Room: "api/archived",
		Breach: tooFast, Help: "GetMediaForFragmentList calls of one stream at a time"})
	PickBandwidth = bandwidth(Limit{Name: "GetMediaForFragmentList.bandwidth", Scope: Stream, AWS: 25_000_000, Section: "3", Operation: pick, Room: "api/archived",
		Breach: slower, Help: "what all GetMediaForFragmentList calls of a stream get together"})
	PickFragments = count(Limit{Name: "GetMediaForFragmentList.fragments", Scope: Stream, Open: 1000, AWS: 1000, Hard: true, Section: "3", Operation: pick, Room: "api/archived", Most: 1000,
		Breach: "InvalidArgumentException", Help: "fragments in one list"})
)

// ListMaxResults is the longest page of ListFragments.
var ListMaxResults = count(Limit{Name: "ListFragments.results", Scope: Stream, Open: 1000, AWS: 1000, Hard: true, Section: "3", Operation: "ListFragments", Room: "api/archived", Most: 1000,
	Breach: "InvalidArgumentException", Help: "MaxResults of ListFragments"})

var _ = rates("3", Stream, []perOperation{{put, 0, 5}, {get, 0, 5}, {"GetDASHStreamingSessionURL", 0, 25}, {"GetHLSStreamingSessionURL", 0, 25}})
