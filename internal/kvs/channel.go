package kvs

import (
	"strconv"
	"time"
)

// ChannelID is the number of a signaling channel inside this installation. It comes from
// the counter of the stream ids, so no stream has the same number, and it is never used
// again.
type ChannelID int64

// Channel is a named place where a master and its viewers find each other
// (docs/design/signaling.md).
type Channel struct {
	ID      ChannelID
	Account AccountID
	Region  string
	Name    string
	Created Millis
	Version string            // changes when the TTL does
	TTL     time.Duration     // of messages: how long one waits for its recipient; 5 to 120 s
	Tags    map[string]string // never modified after the value was made
	Storage StreamID          // the stream it stores to; 0 = none
}

// ARN returns the channel's full name.
func (c Channel) ARN() ARN {
	return ARN{Partition: "aws", Region: c.Region, Account: c.Account, Kind: ChannelResource,
		Name: c.Name, Code: strconv.FormatInt(int64(c.Created), 10)}
}
