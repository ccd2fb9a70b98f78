package rejection

import (
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Advice is what helps a call that was refused before its body was read.
type Advice struct {
	Kind kvs.Kind // of the error
	Name string   // stable, for programs
	When string   // what must have happened
	Fix  string   // what the people who run the producer can do
}

var advices = []Advice{
	{kvs.InvalidArgument, "bad-header", "A header of PutMedia is missing or has a value that it may not have.",
		"Correct the header that the message names. kvssink and producer-c send them all; a client of your own needs x-amzn-stream-name, x-amzn-fragment-timecode-type and, when that is RELATIVE, x-amzn-producer-start-timestamp."},
	{kvs.Denied, "denied", "The access key may not call PutMedia on the stream.",
		"Allow kinesisvideo:PutMedia in a policy (`millrace policy test` shows which decide), or use another access key."},
	{kvs.TooManyRequests, "too-many-requests", "PutMedia is called more often than it may be.",
		"Open one session and keep it: a producer that reconnects several times a second has another fault, which the entries beside this one may show. `millrace limit list` shows the rates, `millrace limit set` raises them."},
	{kvs.TooManyConnections, "too-many-connections", "The stream has as many sessions as it may have.",
		"Close sessions that are no longer used, or raise the limit with `millrace limit set`."},
	{kvs.WrongEndpoint, "wrong-endpoint", "The call came to a host that GetDataEndpoint does not name.",
		"Ask GetDataEndpoint with APIName PUT_MEDIA again and use what it returns. If clients cannot reach that host, set `endpoint` in millrace.yml."},
	{kvs.Unavailable, "unavailable", "The server is stopping, or cannot reach its disk.",
		"The server's log says why. The producer should try again."},
	{kvs.Internal, "internal", "The server could not do its part.",
		"This is the server's fault, not the producer's: its log says why, under the same request id."},
}

// playAdvices are what helps those who want to see a stream.
var playAdvices = []Advice{
	{kvs.InvalidArgument, "bad-selector", "A parameter of the call is missing or has a value that it may not have.",
		"Correct what the message names. `millrace hls`, `millrace dash` and `millrace clip` make such calls; docs/guide/playback.md has the parameters."},
	{kvs.NotFound, "nothing-to-play", "There is no fragment that could be played: none in the range, or none of the last 30 s for LIVE.",
		"Look with `millrace list STREAM` what is stored, and when. Times of the server's clock and of the producer's differ: the other clock is the usual mistake (`--clock producer`)."},
	{kvs.NoRetention, "not-stored", "The stream stores nothing, and players are given what is stored.",
		"Set a retention with UpdateDataRetention; what comes from then on can be played."},
	{kvs.UnsupportedMedia, "media-not-played", "The tracks have codecs that cannot be played so, alone or together, or a fragment has others than its session began with.",
		"docs/guide/playback.md says which media play where. Another protocol may take them; else let the producer send H.264 and AAC. A session whose tracks change is asked for anew."},
	{kvs.MissingPrivateData, "private-data-missing", "A track has no codec private data, without which players cannot begin.",
		"GStreamer: `h264parse ! video/x-h264,stream-format=avc,alignment=au`, `aacparse` for AAC. ffmpeg: add `-flags +global_header`. What is stored already does not play."},
	{kvs.InvalidPrivateData, "private-data-broken", "The codec private data of a track are not what its codec id promises.",
		"GStreamer: `h264parse ! video/x-h264,stream-format=avc`. producer-c: NAL_ADAPTATION_ANNEXB_CPD_NALS turns Annex B into it. What is stored already does not play."},
	{kvs.InvalidFrame, "frame-broken", "A frame is not what the codec private data of its track say.",
		"Length fields of NAL units and start codes were mixed up: let the producer's parser (h264parse, h265parse) make one of them throughout."},
	{kvs.Denied, "denied", "The access key may not make the call, or the stream's wrapping key cannot be used.",
		"Allow it in a policy (`millrace policy test` shows which decide), or use another access key; the message says if it is the wrapping key."},
	{kvs.TooManyRequests, "too-many-requests", "The call is made more often, or takes more fragments, than it may.",
		"Keep a session URL until it expires. `millrace limit list` shows the rates and points, `millrace limit set` raises them."},
	{kvs.WrongEndpoint, "wrong-endpoint", "The call came to a host that GetDataEndpoint does not name.",
		"Ask GetDataEndpoint with the APIName of the call again and use what it returns. If clients cannot reach that host, set `endpoint` in millrace.yml."},
	{kvs.Unavailable, "unavailable", "The server is stopping, or what is being sent takes all of the memory for it.",
		"Try again. `millrace_playback_memory_bytes` and `millrace_clips_memory_bytes` show the memory, `playback.memory` is its bound."},
	{kvs.Internal, "internal", "The server could not do its part.",
		"This is the server's fault, not the caller's: its log says why, under the same request id."},
}

// PlayAdvices lists what calls may be refused for that want to see a stream.
func PlayAdvices() []Advice { return append([]Advice(nil), playAdvices...) }

// Advices lists what calls of PutMedia may be refused for.
func Advices() []Advice { return append([]Advice(nil), advices...) }

// adviceFor finds the advice for an error; what has no line of its own is the caller's
// fault.
func adviceFor(all []Advice, k kvs.Kind) Advice {
	for _, a := range all {
		if a.Kind == k {
			return a
		}
	}
	return all[0]
}

// Call is what there is to say of a call that was refused before its body was read.
type Call struct {
	Time      time.Time
	Operation string // "" = PutMedia; others are of those who want to see the stream
	Request   string // id
	Client    string // address
	Status    int
	Exception string
	Err       error
}

// Refusal makes the refusal of the call.
func (c Call) Refusal() Refusal {
	kind := kvs.KindOf(c.Err)
	all := advices
	if c.Operation != "" {
		all = playAdvices
	}
	a := adviceFor(all, kind)
	why := c.Err.Error()
	if kind == kvs.Internal { // its text is for the log
		why = "Internal failure."
	}
	return Refusal{
		Time: c.Time.UTC().Truncate(time.Millisecond), Scope: Request, Code: c.Status, Error: c.Exception, Case: a.Name,
		Why: why, Fix: a.Fix, Told: true, Call: c.Operation, Request: c.Request, Client: c.Client, Timecode: -1, Offset: -1, Began: -1,
	}
}
