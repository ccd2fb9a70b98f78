package permission

import "slices"

const kinesisvideo = "kinesisvideo"

// The condition keys that groups of operations fill.
var (
	resourceTag  = []string{"aws:ResourceTag/KEY"}
	requestTags  = []string{"aws:RequestTag/KEY", "aws:TagKeys"}
	tagging      = []string{"aws:ResourceTag/KEY", "aws:RequestTag/KEY", "aws:TagKeys"}
	untagging    = []string{"aws:ResourceTag/KEY", "aws:TagKeys"}
	rangeOfTimes = []string{"aws:ResourceTag/KEY", "millrace:RangeStart", "millrace:RangeEnd", "millrace:RangeClock"}
)

var video = Section{Title: "Control plane (kinesisvideo)", Permissions: slices.Concat(
	with(requestTags, rows(kinesisvideo, Any, "CreateStream", "CreateSignalingChannel")),
	rows(kinesisvideo, Any, "ListStreams", "ListSignalingChannels", "ListEdgeAgentConfigurations"),
	with(resourceTag, rows(kinesisvideo, Stream,
		"DescribeStream", "UpdateStream", "DeleteStream", "UpdateDataRetention", "GetDataEndpoint", "ListTagsForStream",
		"DescribeStreamStorageConfiguration", "UpdateStreamStorageConfiguration",
		"DescribeImageGenerationConfiguration", "UpdateImageGenerationConfiguration",
		"DescribeNotificationConfiguration", "UpdateNotificationConfiguration",
		"DescribeEdgeConfiguration", "StartEdgeConfigurationUpdate", "DeleteEdgeConfiguration",
		"DescribeMappedResourceConfiguration")),
	with(tagging, rows(kinesisvideo, Stream, "TagStream")),
	with(untagging, rows(kinesisvideo, Stream, "UntagStream")),
	with(tagging, rows(kinesisvideo, Either, "TagResource")),
	with(untagging, rows(kinesisvideo, Either, "UntagResource")),
	with(resourceTag, rows(kinesisvideo, Either, "ListTagsForResource")),
	with(resourceTag, rows(kinesisvideo, Channel,
		"DescribeSignalingChannel", "UpdateSignalingChannel", "DeleteSignalingChannel", "GetSignalingChannelEndpoint",
		"DescribeMediaStorageConfiguration", "UpdateMediaStorageConfiguration")),
)}

var media = Section{Title: "Media (kinesis-video-media)",
	Text: "While they run, PutMedia, GetMedia and GetMediaForFragmentList are asked for again every 20 seconds.",
	Permissions: slices.Concat(
		with(resourceTag, rows(kinesisvideo, Stream, "PutMedia")),
		with(rangeOfTimes, rows(kinesisvideo, Stream, "GetMedia")),
	)}

var archived = Section{Title: "Archived media (kinesis-video-archived-media)",
	Permissions: with(rangeOfTimes, rows(kinesisvideo, Stream,
		"ListFragments", "GetMediaForFragmentList", "GetClip", "GetImages", "GetHLSStreamingSessionURL", "GetDASHStreamingSessionURL"))}

var signaling = Section{Title: "Signaling (kinesis-video-signaling)",
	Permissions: with(resourceTag, rows(kinesisvideo, Channel, "GetIceServerConfig", "SendAlexaOfferToMaster"))}

var storage = Section{Title: "WebRTC ingestion (kinesis-video-webrtc-storage)",
	Permissions: with(resourceTag, rows(kinesisvideo, Channel, "JoinStorageSession", "JoinStorageSessionAsViewer"))}

var websocket = Section{Title: "Websockets of channels",
	Text: "The connection is authorized; what travels over it is covered by that.",
	Permissions: slices.Concat(
		with(resourceTag, rows(kinesisvideo, Channel, "ConnectAsMaster", "ConnectAsViewer")),
		covered("by the connection", "SendSdpOffer", "SendSdpAnswer", "SendIceCandidate"),
	)}

var playback = Section{Title: "Behind session URLs",
	Text: "The session token is the permission. The principal is anonymous, of the stream's account: the policy of the\n" +
		"listener and the boundary of that account must allow, other policies are not asked.",
	Permissions: with(resourceTag, rows(kinesisvideo, Stream,
		"GetHLSMasterPlaylist", "GetHLSMediaPlaylist", "GetDASHManifest", "GetMP4InitFragment", "GetMP4MediaFragment", "GetTSFragment"))}

// covered makes rows of what needs no permission of its own.
func covered(by string, operations ...string) (all []Permission) {
	for _, o := range operations {
		all = append(all, Permission{Operation: o, Resource: Channel, Holder: Nobody, Note: "covered " + by})
	}
	return all
}

const millrace = "millrace"

var own = Section{Title: "Operations of our own",
	Text: "[admin.md](admin.md) has what they do.",
	Permissions: slices.Concat(
		rows(millrace, Any, "DescribeServer"),
		held(Household, rows(millrace, Any, "GetMetrics")), // the figures of all accounts
		with(resourceTag, rows(millrace, Optional, "ListRejections", "ListSessions", "ListUsage", "ListLimits", "ListHolds", "ListErasures")),
		held(Installation, with(resourceTag, rows(millrace, Optional, "SetLimit", "ResetLimit"))),
		held(Guardians, with(resourceTag, rows(millrace, Stream, "AddHold", "RemoveHold", "EraseFragments"))),
		with(resourceTag, rows(millrace, Stream, "RevokeSessions")),
		with(resourceTag, rows(millrace, Visitable, "ListPresence", "WatchPresence", "ListAllocations", "ListRelayUsage")),
		held(Installation, rows(millrace, Any, "CreateAccount", "ListAccounts", "DisableAccount", "EnableAccount", "DeleteAccount", "SetAccountBoundary")),
		rows(millrace, Any, "DescribeClock", "SetClock", "Reset"),
	)}
