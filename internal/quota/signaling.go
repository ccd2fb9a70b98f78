package quota

// Signaling channels, the relay and WebRTC ingestion: limits sheet, sections 2.2, 7, 8
// and 9.

const endpoint, ice, join = "GetSignalingChannelEndpoint", "GetIceServerConfig", "JoinStorageSession"

// allocate is what clients ask of the relay, in the words of TURN (RFC 8656).
const allocate = "Allocate"

var _ = rates("2.2", Channel, []perOperation{
	{"CreateSignalingChannel", 50, 0},
	{"DeleteSignalingChannel", 50, 5},
	{"DescribeMediaStorageConfiguration", 50, 5},
	{"DescribeSignalingChannel", 300, 5},
	{endpoint, 300, 0},
	{"ListSignalingChannels", 50, 0},
	{"UpdateMediaStorageConfiguration", 10, 5},
	{"UpdateSignalingChannel", 50, 5},
})

// These serve streams as well as channels.
var _ = rates("2.2", Stream, []perOperation{{"ListTagsForResource", 50, 5}, {"TagResource", 50, 5}, {"UntagResource", 50, 5}})

var _ = rates("7", Channel, []perOperation{{"ConnectAsMaster", 0, 3}, {"ConnectAsViewer", 0, 3}, {ice, 0, 5}, {"SendAlexaOfferToMaster", 0, 5}})

var _ = rates("9", Channel, []perOperation{{join, 50, 2}, {"JoinStorageSessionAsViewer", 50, 2}})

// AccountChannels is the number of channels of an account.
var AccountChannels = count(Limit{Name: "account.channels", Scope: Account, AWS: 10_000, Section: "2.2", Operation: "CreateSignalingChannel", Room: "catalog",
	Breach: "AccountChannelLimitExceededException", Help: "signaling channels of an account"})

// ChannelTags is the number of tags of a channel.
var ChannelTags = count(Limit{Name: "channel.tags", Scope: Channel, Open: 50, AWS: 50, Hard: true, Section: "6", Operation: "CreateSignalingChannel", Room: "catalog", Most: 50,
	Breach: "TagsPerResourceExceededLimitException", Help: "tags of a signaling channel"})

// WebSocket connections.
var (
	Masters      = count(socket(Limit{Name: "ConnectAsMaster.sessions", AWS: 1, Hard: true, Breach: "the newest wins: the older connection is closed", Help: "master connections of one channel"}))
	Viewers      = count(socket(Limit{Name: "ConnectAsViewer.sessions", AWS: 10, Breach: tooFast, Help: "viewer connections of one channel"}))
	SocketAge    = span(socket(Limit{Name: "signaling.session-age", AWS: 3600, Hard: true, Breach: "the connection is closed", Help: "age of a signaling connection"}))
	SocketIdle   = span(socket(Limit{Name: "signaling.idle", AWS: 10 * 60, Hard: true, Breach: "the connection is closed", Help: "silence of a signaling connection"}))
	SocketGoAway = span(socket(Limit{Name: "signaling.go-away", Open: 60, AWS: 60, Hard: true, Breach: "the connection is closed", Help: "time to leave after GO_AWAY"}))

	CandidateRate  = often(socket(Limit{Name: "SendICECandidate.session-rate", AWS: 20, Hard: true, Breach: statusResponse, Help: "messages of one connection"}))
	OfferRate      = often(socket(Limit{Name: "SendSDPOffer.session-rate", AWS: 5, Hard: true, Breach: statusResponse, Help: "messages of one connection"}))
	AnswerRate     = often(socket(Limit{Name: "SendSDPAnswer.session-rate", AWS: 5, Hard: true, Breach: statusResponse, Help: "messages of one connection"}))
	CandidateBytes = bytes(socket(Limit{Name: "SendICECandidate.bytes", Open: 18_000, AWS: 10_000, Hard: true, Breach: badMessage, Help: "payload of a message"}))
	OfferBytes     = bytes(socket(Limit{Name: "SendSDPOffer.bytes", Open: 18_000, AWS: 10_000, Hard: true, Breach: badMessage, Help: "payload of a message"}))
	AnswerBytes    = bytes(socket(Limit{Name: "SendSDPAnswer.bytes", Open: 18_000, AWS: 10_000, Hard: true, Breach: badMessage, Help: "payload of a message"}))

	IceSessionAge = span(Limit{Name: "GetIceServerConfig.session-age", Scope: Channel, AWS: 45 * 60, Hard: true, Section: "7", Operation: ice, Room: "signaling",
		Breach: "SessionExpiredException", Help: "time for which a session may ask for ICE servers"})
)

const (
	statusResponse = "STATUS_RESPONSE message"
	badMessage     = "InvalidArgumentException in a STATUS_RESPONSE message"
)

// socket completes a limit of the WebSocket connections, whose address the operation
// GetSignalingChannelEndpoint gives out.
func socket(l Limit) Limit {
	l.Scope, l.Section, l.Operation, l.Room = Channel, "7", endpoint, "signaling"
	return l
}

// The relay.
var (
	RelayBandwidth   = bandwidth(Limit{Name: "relay.bandwidth", Scope: Channel, AWS: 625_000, Hard: true, Section: "8", Operation: allocate, Room: "relay", Breach: "packets are dropped", Help: "what one allocation carries"})
	RelayCredential  = span(Limit{Name: "relay.credential-age", Scope: Channel, Open: 5 * 60, AWS: 5 * 60, Hard: true, Section: "8", Operation: allocate, Room: "relay", Breach: "401 Unauthorized", Help: "age of credentials when an allocation begins; the Ttl that clients are told is at least 30 s, as the model has it"})
	RelayAllocations = count(Limit{Name: "relay.allocations", Scope: Channel, Open: 50, AWS: 50, Hard: true, Section: "8", Operation: allocate, Room: "relay", Breach: "486 Allocation Quota Reached", Help: "allocations of one channel"})
)

// WebRTC ingestion.
var (
	IngestionBandwidth = bandwidth(ingestion(Limit{Name: "ingestion.bandwidth", AWS: 125_000, Breach: "the sender is asked for less", Help: "what one session sends"}))
	IngestionAge       = span(ingestion(Limit{Name: "ingestion.session-age", AWS: 3600, Hard: true, Breach: "the session ends", Help: "age of a session"}))
	IngestionIdle      = span(ingestion(Limit{Name: "ingestion.idle", AWS: 3 * 60, Hard: true, Breach: "the session ends", Help: "silence of a session"}))
	IngestionProducers = count(ingestion(Limit{Name: "ingestion.producers", AWS: 1, Hard: true, Breach: "the newest wins", Help: "video producers of a session"}))
	StorageChannels    = count(Limit{Name: "account.storage-channels", Scope: Account, AWS: 100, Section: "9", Operation: "UpdateMediaStorageConfiguration", Room: "catalog",
		Breach: tooFast, Help: "channels of an account with storage enabled"})
)

func ingestion(l Limit) Limit {
	l.Scope, l.Section, l.Operation, l.Room = Channel, "9", join, "signaling"
	return l
}
