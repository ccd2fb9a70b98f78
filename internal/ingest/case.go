package ingest

import "github.com/millrace/millrace/internal/quota"

// Case is one way in which a fragment or a session fails, with what a producer can do
// about it. docs/ref/ack-codes.md is written from these.
type Case struct {
	Name  string // stable, for programs: "timecode-not-greater"
	Code  Code   // of the ERROR acknowledgement
	When  string // what must have happened
	Fix   string // what the people who run the producer can do
	Limit string // the limit behind it ("millrace limit set"); "" = none
}

// The cases, in the order of their codes.
var (
	bodyBroke = newCase("body-broke-off", StreamReadError,
		"The connection ended in the middle of a fragment, or of the header.",
		"A file that ends like this is cut short. Of a camera look at the producer and the network: a crash, a lost link, a proxy with a time limit. The fragment was not kept: producers that wait for PERSISTED (kvssink, producer-c, `millrace put`) send it again. End sessions with the last chunk of the chunked body, as `millrace put` and the SDKs' stop calls do.")
	displaced = newCase("displaced", StreamReadError,
		"A newer PutMedia session of the same stream took over; the limit of sessions per stream is reached and the newest wins.",
		"Let one producer send to a stream. Two devices with the same stream name displace each other again and again: give each its own stream (kvssink `stream-name`). When the SDK rotates its token this is normal and costs nothing.").
		by(quota.PutSessions.Name)
	stopping = newCase("server-stopped", StreamReadError,
		"The server stopped, or the session was ended from outside, in the middle of a fragment.",
		"Nothing is wrong with the media. The producer should connect again and send the fragment again; kvssink and producer-c do with `restart-on-error=true`.")
	noData = newCase("no-data", StreamReadError,
		"No data came for longer than a session may be idle.",
		"Send without pauses, or close the session and open a new one when there is something to send. In GStreamer look for a pipeline that does not run, or a camera that delivers no frames; with kvssink set `connection-staleness` below the limit.").
		by(quota.PutIdle.Name)
	heldMemory = newCase("held-memory", StreamReadError,
		"No data came for 30 s while the session held memory that other sessions waited for.",
		"Finish fragments in one go: do not pause inside a cluster. Raise `memory.budget` in millrace.yml when many producers send large fragments at once.")
	tooSlow = newCase("fragment-too-slow", StreamReadError,
		"The fragment came at less than 3.5 Mbit/s and was not whole after 20 s, while other sessions waited for the memory that is kept for one fragment at a time.",
		"Send fragments as fast as they last, or smaller ones: kvssink `fragment-duration`, an encoder with more key frames or a lower bit rate. Raise `memory.budget` in millrace.yml when many producers send large fragments at once.")
	unread = newCase("acks-unread", StreamReadError,
		"Acknowledgements could not be written: the producer does not read them, or its connection is gone.",
		"Read the response while sending: PutMedia is full duplex. A client that sends the whole body before it reads (curl without --no-buffer, a proxy that buffers) does not work.")
	tooLarge = newCase("fragment-too-large", MaxFragmentSize,
		"A fragment has more bytes than are allowed.",
		"Begin clusters more often or lower the bit rate. kvssink: smaller `fragment-duration`, and an encoder that makes a key frame at least every 2 s (x264enc `key-int-max`). ffmpeg: `-f matroska -cluster_size_limit 5M -cluster_time_limit 2000`, and `-g` for more key frames.").
		by(quota.FragmentBytes.Name)
	tooLong = newCase("fragment-too-long", MaxFragmentDuration,
		"A fragment lasts longer than is allowed: from the first start of a frame to the last end, per track.",
		"Begin clusters at least every 10 s, best every 2 s. kvssink: `key-frame-fragmentation=true fragment-duration=2000`, and an encoder with a key frame every 2 s (x264enc `key-int-max=50` at 25 frames/s). ffmpeg: `-cluster_time_limit 2000 -g 50`. `millrace put` cuts new clusters at key frames by itself.").
		by(quota.FragmentDuration.Name)
	tooOld = newCase("session-too-old", MaxConnectionDuration,
		"The session is older than a PutMedia session may become.",
		"Nothing is lost: connect again. SDKs rotate before that (kvssink `rotation-period`, below 2700 s).").
		by(quota.PutSessionAge.Name)
	revoked = newCase("rights-lost", MaxConnectionDuration,
		"The producer may not send to the stream any more: its access key was disabled, its user, role or session is gone or revoked, or a policy changed.",
		"What was stored before is kept. The producer connects again and is told why it is refused; the server's log has both calls with their key.")
	notGreater = newCase("timecode-not-greater", TimecodeNotGreater,
		"A cluster's timecode is not greater than that of the cluster before it in the same session.",
		"Timecodes of clusters must grow. The clock of the camera stepped back, a file was looped, or two inputs were joined: begin a new session there. kvssink: with `use-original-pts=true` the source must not restart its timestamps; use `absolute-fragment-times=true`. ffmpeg: `-fflags +genpts`, or `-use_wallclock_as_timestamps 1` for cameras whose timestamps jump.")
	overlaps = newCase("frames-overlap", TimecodeNotGreater,
		"The earliest frame of a track in this fragment is not later than its latest frame in the fragment before.",
		"Frames of one track must not reach back behind the fragment before. Use closed groups of pictures (x264 `open-gop=0`, ffmpeg `-flags +cgop`) and no B-frames across key frames (x264enc `bframes=0`). `millrace limit set fragment.overlap on --stream NAME` allows it.").
		by(quota.FragmentOverlap.Name)
	manyTracks = newCase("too-many-tracks", TooManyTracks,
		"The header declares more tracks than are allowed.",
		"Send one video and one audio track. ffmpeg: choose with `-map 0:v:0 -map 0:a:0`; subtitles and data streams count as tracks (`-sn -dn`).").
		by(quota.FragmentTracks.Name)
	noMatroska = newCase("not-matroska", InvalidMKV,
		"The body does not begin as Matroska does, with an EBML header.",
		"Send Matroska. MP4: `ffmpeg -i in.mp4 -c copy out.mkv`. A raw H.264 or MPEG-TS stream: let ffmpeg or GStreamer (`matroskamux streamable=true`) put it into Matroska.")
	badElement = newCase("broken-element", InvalidMKV,
		"Bytes that are no Matroska element, or an element that does not fit into its parent.",
		"The bytes at that offset are not what the elements before them announce: a frame whose size differs from its block's, bytes lost on the way, or a muxer that goes back to write sizes later. Muxers must write a stream: ffmpeg to a pipe (`-f matroska -`), GStreamer `matroskamux streamable=true`. `millrace lint FILE` shows the first such place of a file.")
	noCluster = newCase("no-cluster", InvalidMKV,
		"The body ended before the first cluster.",
		"The producer sent a header and no frames. Look why the encoder makes none: a camera that is asleep, a pipeline that ended at once.")
	noTracks = newCase("no-tracks", InvalidMKV,
		"The first cluster came before any track was declared.",
		"A session must begin with its header: EBML, Segment, Info, Tracks. When a producer connects again it has to send the header again; the SDKs do.")
	secondDocument = newCase("second-document", InvalidMKV,
		"A second EBML header, Segment or Tracks in one session.",
		"One session carries one document. Joined files (`cat a.mkv b.mkv`) and encoders that restart inside a pipe write a new header: begin a new PutMedia session there, or join with ffmpeg (`-f concat`).")
	bigHeader = newCase("header-too-large", InvalidMKV,
		"More than 1 MiB in front of the first cluster.",
		"Leave attachments, chapters and cover pictures away: ffmpeg `-map 0:v:0 -map 0:a:0 -map_chapters -1 -map_metadata -1`.")
	bigElement = newCase("element-too-large", InvalidMKV,
		"An element behind the first cluster that is no block has more than 64 KiB.",
		"Only frames may be large there. Leave Cues and Attachments away: a muxer that writes a stream does (GStreamer `matroskamux streamable=true`, ffmpeg to a pipe).")
	badTime = newCase("producer-time", InvalidProducerTime,
		"The producer time of a cluster lies before 1970 or behind the year 9999.",
		"Check the clock of the device, the TimecodeScale of the header and x-amzn-producer-start-timestamp. With ABSOLUTE timecodes the cluster's timecode is the time since 1970: producers that count from 0 must send RELATIVE and a start (kvssink `absolute-fragment-times`).")
	streamGone = newCase("stream-deleted", StreamNotActive,
		"The stream was deleted while the session was open.",
		"Create the stream again (`millrace put --create`), and find out who deletes it: the server's log has every DeleteStream with its key.")
	manyItems = newCase("too-many-metadata-items", MetadataLimit,
		"A fragment has more metadata items than are allowed.",
		"Put fewer items on one fragment. Persistent ones (putFragmentMetadata with persistent=true) are on every fragment until they are cancelled with an empty value.").
		by(quota.FragmentTags.Name)
	longName = newCase("metadata-name-too-long", MetadataLimit,
		"The name of a metadata item is longer than allowed.",
		"Shorten the name; it is counted in bytes of UTF-8.").
		by(quota.FragmentTagName.Name)
	longValue = newCase("metadata-value-too-long", MetadataLimit,
		"The value of a metadata item is longer than allowed.",
		"Shorten the value, or keep it elsewhere and send a reference. It is counted in bytes of UTF-8.").
		by(quota.FragmentTagValue.Name)
	longPrefix = newCase("image-prefix-too-long", MetadataLimit,
		"The value of AWS_KINESISVIDEO_IMAGE_PREFIX is longer than allowed.",
		"Shorten the prefix; it is counted in bytes of UTF-8.").
		by(quota.ImagePrefix.Name)
	strangeTrack = newCase("undeclared-track", TrackMismatch,
		"A block names a track that the header does not declare.",
		"Declare every track before the first cluster. producer-c: list each in StreamInfo.streamCaps.trackInfoList and give frames its trackId. A track that appears later (audio that starts late) needs a new session.")
	trackEmpty = newCase("track-without-frame", FramesMissing,
		"A track of the header has no frame in a fragment.",
		"Every declared track needs a frame in every fragment. Do not declare audio that may be silent or late, make fragments longer, or set the stream tag millrace:lenient-tracks=1 (TagStream), which turns this rule off for the stream.")
	noFrame = newCase("fragment-without-frame", FramesMissing,
		"A cluster has no frame at all.",
		"The muxer wrote an empty cluster: look at its settings for the shortest cluster, and at frames that it drops.")
	reserved = newCase("metadata-name-reserved", InvalidMetadata,
		"The name of a metadata item begins with AWS, which is reserved.",
		"Choose another name. The known ones are AWS_KINESISVIDEO_IMAGE_GENERATION, _IMAGE_PREFIX, _NOTIFICATION and _END_OF_FRAGMENT.")
	tooShort = newCase("fragment-too-short", MinFragmentDuration,
		"A fragment lasts less than the shortest allowed.",
		"Begin clusters less often: kvssink `fragment-duration=2000` and a key frame every 1 to 2 s (x264enc `key-int-max`). An encoder that makes every frame a key frame (MJPEG, all-intra) needs `key-frame-fragmentation=false`.").
		by(quota.FragmentMinDuration.Name)
	keyDenied = newCase("key-denied", KeyAccessDenied,
		"The key provider denies the use of the stream's wrapping key (KmsKeyId).",
		"Grant the server the use of the key where the key is kept. No fragment of the stream is taken until then; nothing that is stored is lost.")
	keyDisabled = newCase("key-disabled", KeyDisabled,
		"The stream's wrapping key (KmsKeyId) is switched off.",
		"Remove it from `keys.disabled` in millrace.yml and reload the server, if the stream should go on. What is stored can be read again from then on.")
	keyInvalid = newCase("key-validation", KeyValidation,
		"What the stream's wrapping key (KmsKeyId) wrapped cannot be unwrapped with it.",
		"The key file is not the one that the stream's data keys were wrapped under, or it is damaged: put back its copy (`key-file` in the data directory, or the file that `keys.files` names) and restart the server.")
	keyUnavailable = newCase("key-unavailable", KeyUnavailable,
		"The key provider did not answer within 5 s, or failed.",
		"Nothing is wrong with the media: the server's log says what the key provider answered. The producer may go on; kvssink and producer-c skip the fragment.")
	keyUsage = newCase("key-invalid-usage", KeyInvalidUsage,
		"The stream's wrapping key (KmsKeyId) is not made to wrap data keys.",
		"A key's use cannot be changed, nor can the key of a stream: create the stream again with a key for encryption.")
	keyState = newCase("key-invalid-state", KeyInvalidState,
		"The stream's wrapping key (KmsKeyId) is in a state in which it cannot be used, such as waiting for its deletion.",
		"Bring the key back where it is kept (cancel its deletion, import its material).")
	keyUnknown = newCase("key-not-found", KeyNotFound,
		"Nobody knows the stream's wrapping key (KmsKeyId).",
		"Name its key file under `keys.files` in millrace.yml and reload the server. The KmsKeyId of a stream cannot be changed: if it was a mistake, delete the stream and create it again, without a KmsKeyId for the server's own key.")
	noMemory = newCase("no-memory", InternalError,
		"There was no memory for the header of the session within five minutes: others keep it for their sessions' headers and fragments.",
		"Connect again later. Send a header of at most 4 KB, which needs none of the budget: no attachments, cover pictures or long tags. Raise `memory.budget` in millrace.yml.")
	noNumbers = newCase("internal", InternalError,
		"The server could not do its part.",
		"This is the server's fault, not the producer's: its log says why, under the same request id. The producer may send the fragment again.")
	notStored = newCase("not-stored", ArchivalError,
		"The fragment could not be written to disk.",
		"This is the server's fault, not the producer's: its log says why. Check the space and the health of the disk under the data directory. The producer may send the fragment again.")
)

// keyCases are those of a wrapping key that cannot be used. The codes are the numbers of
// the failures.
var keyCases = map[Code]*Case{
	KeyAccessDenied: keyDenied, KeyDisabled: keyDisabled, KeyValidation: keyInvalid, KeyUnavailable: keyUnavailable,
	KeyInvalidUsage: keyUsage, KeyInvalidState: keyState, KeyNotFound: keyUnknown,
}

// cases is the table in the order of declaration.
var cases []*Case

func newCase(name string, code Code, when, fix string) *Case {
	c := &Case{Name: name, Code: code, When: when, Fix: fix}
	cases = append(cases, c)
	return c
}

// by names the limit that decides.
func (c *Case) by(limit string) *Case {
	c.Limit = limit
	return c
}

// Cases lists all ways to fail, in the order of their codes.
func Cases() []*Case { return append([]*Case(nil), cases...) }
