package quota

// The edge agent (limits sheet, section 10), and what the server limits for its own sake.

const edge = "StartEdgeConfigurationUpdate"

// The edge agent.
var (
	EdgeStreams   = count(agent(Limit{Name: "edge.streams", AWS: 16, Hard: true, Breach: "DeviceStreamLimitExceededException", Help: "streams of one device; changing one does not count again"}))
	EdgeSyncRetry = span(agent(Limit{Name: "edge.sync-retry", Open: 15 * 60, AWS: 15 * 60, Hard: true, Breach: "status SYNC_FAILED", Help: "time for which a configuration is offered to a device"}))
	EdgeUpload    = span(agent(Limit{Name: "edge.upload", Open: 3600, AWS: 3600, Hard: true, Breach: "the next upload begins", Help: "time between two uploads without a schedule"}))
	EdgeAlive     = span(agent(Limit{Name: "edge.alive", Open: 60, AWS: 60, Hard: true, Breach: "the device counts as silent", Help: "time between two signs of life of a device"}))
)

func agent(l Limit) Limit {
	l.Scope, l.Section, l.Operation, l.Room = Account, "10", edge, "edge"
	return l
}

// Strangers is the number of connections of a listener on which nothing was signed yet.
var Strangers = count(Limit{Name: "listener.strangers", Scope: Server, Open: 1024, AWS: 1024, Room: "server",
	Breach: "the oldest of them is closed", Help: "connections of one listener on which nothing was signed yet"})
