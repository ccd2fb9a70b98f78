package kvs

import "strconv"

// StreamID is the number of a stream inside this installation. It is never used
// again, so data of a deleted stream can never be taken for that of a new one.
type StreamID int64

// Status is the state of a stream (control sheet, section 4).
type Status string

// The states of a stream.
const (
	Creating Status = "CREATING"
	Active   Status = "ACTIVE"
	Updating Status = "UPDATING"
	Deleting Status = "DELETING"
)

// StorageTier is how fast a stream's archived media should be to reach.
type StorageTier string

// The storage tiers.
const (
	Hot  StorageTier = "HOT"
	Warm StorageTier = "WARM"
)

// Stream is a named resource that carries time-coded media.
type Stream struct {
	ID         StreamID
	Account    AccountID
	Region     string
	Name       string
	Created    Millis
	Version    string // changes with every change of metadata
	Status     Status
	Retention  int // hours; 0 = fragments are not archived
	DeviceName string
	MediaType  string
	KmsKeyID   string
	Tier       StorageTier
	Tags       map[string]string // never modified after the value was made
	Held       bool              // a hold keeps fragments beyond the retention

	SessionsFrom Millis // playback sessions that began before are revoked
}

// ARN returns the stream's full name.
func (s Stream) ARN() ARN {
	return ARN{Partition: "aws", Region: s.Region, Account: s.Account, Kind: StreamResource,
		Name: s.Name, Code: strconv.FormatInt(int64(s.Created), 10)}
}

// RetentionMillis is the retention in milliseconds.
func (s Stream) RetentionMillis() Millis { return Millis(s.Retention) * 3_600_000 }

// Horizon is the oldest server timestamp that is still kept at time now. With a hold
// everything that is stored may be read: what the retention no longer covers and no hold
// does is gone with the next expiry pass.
func (s Stream) Horizon(now Millis) Millis {
	if s.Held {
		return 0
	}
	return now - s.RetentionMillis()
}

// LenientTracks reports whether fragments without a frame for some track are
// accepted (stream tag millrace:lenient-tracks=1 turns ack 4011 off).
func (s Stream) LenientTracks() bool { return s.Tags["millrace:lenient-tracks"] == "1" }

// TagsPrevious reports whether Tags between two clusters describe the fragment before
// them, as the embedded producer means them (stream tag millrace:metadata=previous).
func (s Stream) TagsPrevious() bool { return s.Tags["millrace:metadata"] == "previous" }

// Fragment is what is known about one fragment, without its bytes.
type Fragment struct {
	Stream   StreamID
	Number   FragmentNumber
	Producer Millis // producer timestamp
	Duration int64  // milliseconds
	Size     int64  // bytes of metadata and media
}

// At returns the fragment's start on the given clock.
func (f Fragment) At(c Clock) Millis {
	if c == ProducerClock {
		return f.Producer
	}
	return f.Number.Server
}
