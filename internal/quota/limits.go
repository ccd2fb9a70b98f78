// Package quota says yes, or how long to wait.
//
// It holds the one table of limits with its two profiles ([Limits]), the request
// rates per account and per resource ([Rates]), the connection slots per stream
// ([Slots]) and the memory budget of the whole server ([Budget]). Nothing here knows
// what is asked for, only how much. Everything may be used from many goroutines.
package quota

import (
	"fmt"
	"time"
)

// Profile names a set of defaults.
type Profile string

// The profiles. Open keeps only what protects the server; AWS is exactly the limits
// sheet.
const (
	Open Profile = "open"
	AWS  Profile = "aws"
)

// Limits is the table of limits. A zero means "no limit" wherever that makes sense.
type Limits struct {
	Profile Profile

	Streams       int // streams per account (limits sheet, section 2.1)
	TagsPerStream int // section 6

	FragmentBytes       int64         // largest fragment, ack 4001 (section 3)
	FragmentDuration    time.Duration // longest fragment, ack 4002
	FragmentMinDuration time.Duration // shortest fragment, ack 4013
	FragmentsPerSecond  int           // fragments a session may begin each second; more wait
	FragmentOverlap     bool          // true: a frame may be earlier than the previous fragment's last
	Tracks              int           // tracks in a header, ack 4005
	FragmentTags        int           // metadata items of one fragment, ack 4009 (section 6)
	FragmentTagName     int           // bytes of an item's name
	FragmentTagValue    int           // bytes of an item's value

	PutSessions   int           // active PutMedia sessions per stream; the newest wins
	PutSessionAge time.Duration // ack 4003 (section 3.1)
	PutIdle       time.Duration // end of a PutMedia session without data
	GetSessions   int           // GetMedia sessions per stream
	ListSessions  int           // GetMediaForFragmentList sessions per stream

	Strangers int // connections of a listener on which nothing was signed yet

	HostBufferBytes int64         // live buffer of a stream with retention 0
	HostBufferAge   time.Duration // likewise

	Rates map[string]Rate // requests by operation; missing = no limit
}

// Rate is how many requests of one operation are allowed each second.
type Rate struct {
	Account  float64 // per account and region; 0 = no limit
	Resource float64 // per stream or channel; 0 = no limit
}

// For returns the table of a profile. It fails on an unknown name.
func For(p Profile) (Limits, error) {
	switch p {
	case Open, "":
		return openLimits(), nil
	case AWS:
		return awsLimits(), nil
	}
	return Limits{}, fmt.Errorf("unknown profile %q: use %q or %q", p, Open, AWS)
}

// openLimits keeps what bounds memory and nothing else.
func openLimits() Limits {
	return Limits{
		Profile:          Open,
		TagsPerStream:    50,
		FragmentBytes:    50_000_000,
		FragmentDuration: 20 * time.Second,
		FragmentOverlap:  true,
		Tracks:           3,
		FragmentTags:     10,
		FragmentTagName:  128,
		FragmentTagValue: 256,
		Strangers:        1024,
		HostBufferBytes:  200_000_000,
		HostBufferAge:    5 * time.Minute,
	}
}

// awsLimits is the limits sheet.
func awsLimits() Limits {
	l := openLimits()
	l.Profile = AWS
	l.Streams = 10_000
	l.FragmentMinDuration = time.Second
	l.FragmentsPerSecond = 5
	l.FragmentOverlap = false
	l.PutSessions = 1
	l.PutSessionAge = 45 * time.Minute
	l.PutIdle = 30 * time.Second
	l.GetSessions = 3
	l.ListSessions = 5
	l.Rates = awsRates()
	return l
}

// awsRates is section 2.1 and the TPS column of section 3 for the operations served.
func awsRates() map[string]Rate {
	busy, plain := Rate{Account: 300, Resource: 5}, Rate{Account: 50, Resource: 5}
	account, resource := Rate{Account: 50}, Rate{Resource: 5}
	return map[string]Rate{
		"CreateStream":                       account,
		"ListStreams":                        account,
		"DeleteStream":                       plain,
		"DescribeStream":                     busy,
		"GetDataEndpoint":                    busy,
		"DescribeStreamStorageConfiguration": plain,
		"UpdateStreamStorageConfiguration":   plain,
		"ListTagsForStream":                  plain,
		"TagStream":                          plain,
		"UntagStream":                        plain,
		"ListTagsForResource":                plain,
		"TagResource":                        plain,
		"UntagResource":                      plain,
		"UpdateDataRetention":                plain,
		"UpdateStream":                       plain,
		"PutMedia":                           resource,
		"GetMedia":                           resource,
	}
}
