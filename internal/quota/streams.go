package quota

// The control plane of streams: limits sheet, section 2.1 and the tags of section 6.

// perOperation is how many requests of an operation are allowed each second; 0 = not
// limited.
type perOperation struct {
	operation         string
	account, resource Value
}

// AccountStreams is the number of streams of an account.
var AccountStreams = count(Limit{Name: "account.streams", Scope: Account, AWS: 10_000, Smaller: 5_000, Section: "2.1", Operation: "CreateStream", Room: "catalog",
	Breach: "AccountStreamLimitExceededException", Help: "streams of an account"})

// StreamTags is the number of tags of a stream.
var StreamTags = count(Limit{Name: "stream.tags", Scope: Stream, Open: 50, AWS: 50, Hard: true, Section: "6", Operation: "TagStream", Room: "catalog", Most: 50,
	Breach: "TagsPerResourceExceededLimitException", Help: "tags of a stream"})

// StreamBytes is how much of a stream is stored. Its breach is seen by nobody's call: the
// archive looks once in a while.
var StreamBytes = bytes(Limit{Name: "stream.bytes", Scope: Stream, Room: "archive", Least: 1_000_000, // 200 for 200GB would remove everything
	Breach: "the oldest fragments are removed, but not those on hold", Help: "what is stored of a stream, sealed and with its index of frames"})

var _ = rates("2.1", Stream, []perOperation{
	{"CreateStream", 50, 0},
	{"DeleteEdgeConfiguration", 10, 1},
	{"DeleteStream", 50, 5},
	{"DescribeEdgeConfiguration", 50, 5},
	{"DescribeImageGenerationConfiguration", 50, 5},
	{"DescribeMappedResourceConfiguration", 50, 5},
	{"DescribeNotificationConfiguration", 50, 5},
	{"DescribeStream", 300, 5},
	{"DescribeStreamStorageConfiguration", 50, 5},
	{"GetDataEndpoint", 300, 5},
	{"ListEdgeAgentConfigurations", 50, 0},
	{"ListStreams", 50, 0},
	{"ListTagsForStream", 50, 5},
	{"StartEdgeConfigurationUpdate", 10, 1},
	{"TagStream", 50, 5},
	{"UntagStream", 50, 5},
	{"UpdateDataRetention", 50, 5},
	{"UpdateImageGenerationConfiguration", 50, 5},
	{"UpdateNotificationConfiguration", 50, 5},
	{"UpdateStream", 50, 5},
	{"UpdateStreamStorageConfiguration", 50, 5},
})

// soft are the rates that the original service raises on request.
var soft = map[string]bool{"CreateStream": true, "CreateSignalingChannel": true}

// rates adds the rows of requests a second and enters them for [OperationOf].
func rates(section string, resource Scope, all []perOperation) int {
	for _, r := range all {
		op := operation(r.operation)
		if r.account > 0 {
			op.account = row(Limit{Name: r.operation + ".account-rate", Scope: Account, AWS: r.account, Hard: !soft[r.operation], Section: section,
				Operation: r.operation, Room: "api", Breach: tooFast, Help: "requests of an account"}, Frequency)
			op.account.slot = accountSlots
			accountSlots++
		}
		if r.resource > 0 {
			op.resource = row(Limit{Name: r.operation + "." + resource.String() + "-rate", Scope: resource, AWS: r.resource, Hard: true, Section: section,
				Operation: r.operation, Room: "api", Breach: tooFast, Help: "requests on one " + resource.String()}, Frequency)
			op.resource.slot = streamSlots
			streamSlots++
		}
	}
	return len(all)
}

// What breaches have in common.
const (
	tooFast = "ClientLimitExceededException"
	tooMany = "ConnectionLimitExceededException"
	slower  = "no error: waits"
)
