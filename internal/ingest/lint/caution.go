package lint

//go:generate go test -run ^TestThePageIsCurrent$ -update .

// Caution is a way of being legal and unwise, with what helps.
type Caution struct {
	Name string // stable, for programs
	When string // what was found
	Fix  string // what the people who run the producer can do
}

// The cautions, in the order in which media meet them.
var (
	privateMissing = &Caution{"private-data-missing", "A track has no codec private data, and its codec needs them.",
		"Players cannot begin without them. GStreamer: `h264parse ! video/x-h264,stream-format=avc,alignment=au`, `aacparse` for AAC. ffmpeg: add `-flags +global_header`. producer-c and kvssink: set codecPrivateData, or the NAL adaptation flags that take them from the first key frame."}
	privateBroken = &Caution{"private-data-broken", "The codec private data of a track are not what its codec id promises.",
		"V_MPEG4/ISO/AVC wants an AVCDecoderConfigurationRecord, V_MPEGH/ISO/HEVC an HEVCDecoderConfigurationRecord, A_AAC an AudioSpecificConfig. GStreamer: `h264parse ! video/x-h264,stream-format=avc`. producer-c: NAL_ADAPTATION_ANNEXB_CPD_NALS turns Annex B into it."}
	notPlayable = &Caution{"codec-not-playable", "The codec of a track is one that browsers and playback sessions do not take.",
		"The media are stored and handed out again as they are. For players send H.264 or H.265 video and AAC sound: ffmpeg `-c:v libx264 -c:a aac`."}
	noRate = &Caution{"no-frame-duration", "A video track says nowhere how long its frames last.",
		"The last frame of a fragment is taken to last as long as the one before it, and nothing in a fragment with one frame. Set DefaultDuration: kvssink `framerate=`, ffmpeg `-r`, GStreamer a framerate in the caps of the muxer."}
	since1970 = &Caution{"producer-time-1970", "The timecodes count from 0, so that as absolute ones they mean 1970.",
		"Send them as RELATIVE with a start time: `millrace put` does so by itself, kvssink with `absolute-fragment-times=false`."}
	noKey = &Caution{"no-key-frame", "A cluster does not begin with a key frame of its video.",
		"Nobody can decode the fragment on its own: playback and seeking begin elsewhere. kvssink `key-frame-fragmentation=true`; ffmpeg `-force_key_frames 'expr:gte(t,n_forced*2)' -cluster_time_limit 2000`. `millrace put` cuts new clusters at key frames."}
	longFragment = &Caution{"long-fragment", "A fragment spans more than 10 s.",
		"Players wait for whole fragments, and the original service took 10 s at times. Make a key frame every 2 s and a cluster at each: x264enc `key-int-max`, ffmpeg `-g`, kvssink `fragment-duration=2000`."}
	gap = &Caution{"timecode-jump", "A cluster begins more than 2 s after the last frame before it.",
		"Players show a gap or stop there. Look for frames that were lost, a camera that stood still, or a clock that was set. Where recording paused, begin a new session."}
	lateStart = &Caution{"late-track", "The first frame of a track comes more than 1 s after the first of another.",
		"Fragments in front of it lack the track and are refused (4011) unless the stream has the tag millrace:lenient-tracks=1. Wait for both sources before the first frame is sent."}
	interleave = &Caution{"bad-interleaving", "A frame comes behind frames of another track that are more than 2 s later.",
		"Players have to buffer for that long, and a fragment may lack the track. GStreamer: put queues in front of the muxer; ffmpeg `-max_interleave_delta 500000`."}
	openGOP = &Caution{"open-gop", "A fragment holds frames that are shown before its first key frame.",
		"They refer to the fragment before and cannot be decoded on their own. Close the groups of pictures: x264 `open-gop=0`, ffmpeg `-flags +cgop`. In the aws profile such a fragment is refused (4004)."}
	bFrames = &Caution{"b-frames", "Frames of a video track are not in the order in which they are shown (B-frames).",
		"They delay a live picture by some frames, and browsers do not take them over WebRTC. For live video: x264enc `bframes=0 tune=zerolatency`, ffmpeg `-bf 0`."}
	startCodes = &Caution{"annex-b-frames", "The frames of an H.264 or H.265 track begin with start codes (Annex B); Matroska wants lengths.",
		"Most players cannot decode them. GStreamer: `h264parse ! video/x-h264,stream-format=avc,alignment=au`; producer-c: NAL_ADAPTATION_ANNEXB_NALS."}
)

// Cautions lists all of them.
func Cautions() []*Caution {
	return []*Caution{privateMissing, privateBroken, notPlayable, noRate, since1970, noKey, longFragment, gap,
		lateStart, interleave, openGOP, bFrames, startCodes}
}
