// Package rejection remembers what was refused, why, and what helps.
//
// A [Refusal] is one refusal of a fragment, of a session or of a request. A [Book] keeps
// the latest of each stream, the same ones folded into one [Entry], in bounded memory;
// [Book.Run] writes them to a file now and then, and nobody waits for that. Everything
// may be used from many goroutines.
package rejection

import "time"

// Scope is what was refused.
type Scope string

// The scopes, from small to large.
const (
	Fragment Scope = "FRAGMENT" // one fragment; the session went on or ended with it
	Session  Scope = "SESSION"  // a PutMedia session, outside any fragment
	Request  Scope = "REQUEST"  // a call that was refused before its body was read
)

// Refusal is one refusal, in the form in which ListRejections answers it.
type Refusal struct {
	Time    time.Time `json:",omitzero" help:"When it was refused, by the server's clock."`
	Scope   Scope     `help:"What was refused: FRAGMENT, SESSION (PutMedia, outside any fragment) or REQUEST (before its body was read)."`
	Code    int       `json:"ErrorId" help:"Of the ERROR acknowledgement; the HTTP status of a REQUEST."`
	Error   string    `json:"ErrorCode" help:"Its name; the exception of a REQUEST."`
	Case    string    `help:"Which way of failing, as in docs/ref/ack-codes.md."`
	Why     string    `help:"What was found, and what is allowed."`
	Fix     string    `help:"What to do about it."`
	Limit   string    `json:",omitempty" help:"The limit behind it, if there is one, as ListLimits names it."`
	Call    string    `json:"Operation,omitempty" help:"The call that was refused, if it is not PutMedia."`
	Told    bool      `json:"Acknowledged" help:"The producer was told, by an ERROR acknowledgement or an exception."`
	Request string    `json:"RequestId" help:"Of the call, as in the server's log."`
	Client  string    `json:",omitempty" help:"Address that the call came from."`

	Number   string    `json:"FragmentNumber,omitempty" help:"Of the fragment."`
	Timecode int64     `json:"FragmentTimecode" help:"Of the fragment's cluster as it was sent, -1 without one."`
	Producer time.Time `json:"ProducerTimestamp,omitzero" help:"Of the fragment."`
	Offset   int64     `help:"Byte of the session's body where it was found, -1 without one."`
	Began    int64     `json:"ClusterOffset" help:"Byte where the fragment's cluster begins, -1 without one."`
	Track    uint64    `json:"TrackNumber,omitempty" help:"The track it is about, if it is about one."`
	Frame    int       `json:",omitempty" help:"How many blocks of the fragment had come, the last included."`
}

// key is what makes two refusals the same but for their time and place.
type key struct {
	scope Scope
	code  int
	error string
	cause string
	track uint64
	call  string
}

func (r *Refusal) key() key { return key{r.Scope, r.Code, r.Error, r.Case, r.Track, r.Call} }

// Bounds of the texts of a refusal, in bytes.
const (
	maxWhy  = 500
	maxName = 100 // everything else that a client had a hand in
)

// cut shortens what a client may have made long.
func (r *Refusal) cut() {
	r.Why = short(r.Why, maxWhy)
	r.Client, r.Request = short(r.Client, maxName), short(r.Request, maxName)
}

// short is the beginning of a text that is longer than n bytes.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}

// size is about how many bytes a refusal takes in memory. The texts that they share,
// like the advice, are not counted.
func (r *Refusal) size() int64 {
	const fields = 320
	return fields + int64(len(r.Why)+len(r.Client)+len(r.Request)+len(r.Number))
}

// Entry is one or more refusals that differ in time and place only.
type Entry struct {
	Count int64   `help:"How often it happened."`
	First Refusal `help:"The first time."`
	Last  Refusal `help:"The latest time."`
}

// Recent is a stream with refusals.
type Recent struct {
	StreamName string  `help:"Name of the stream."`
	Count      int64   `help:"How many refusals are remembered."`
	Last       Refusal `help:"The latest."`
}
