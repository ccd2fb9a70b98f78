package consumer

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/mkv"
)

// Fragment is what is known about a fragment. What stands behind the cluster is known
// when Read has returned io.EOF.
type Fragment struct {
	Number       string    // fragment number, 47 digits
	ServerTime   time.Time // when the server began to receive it
	ProducerTime time.Time // when the producer began to record it

	Header   []byte // EBML header to Tracks, as the producer sent them; Tags left out
	Info     *mkv.Info
	Tracks   []mkv.Track
	Tags     []mkv.Tag // the producer's own, in front of the cluster
	TagBytes []byte    // their bytes
	Timecode int64     // of the cluster, in units of Info.TimecodeScale; -1 without a cluster

	TagsBehind []mkv.Tag     // the producer's own, behind the cluster; of the next fragment, mostly
	Token      string        // continuation token; "" when the server gave none
	BehindNow  time.Duration // how far the server was behind its newest fragment
	Complete   bool          // GetMedia only: the server said that this is all of it
}

// FragmentError is what the server put in place of a fragment (wire-media sections 5.2
// and 5.3).
type FragmentError struct {
	Number string // of the fragment, "" when unknown
	ID     int    // such as 4000
	Code   string // what went wrong, in words or as a name
}

// Error names the fragment if it is known, what went wrong, and its number if it has one.
func (e *FragmentError) Error() string {
	text := "the server answered " + e.Code
	if e.ID != 0 {
		text += fmt.Sprintf(" (%d)", e.ID)
	}
	if strings.Trim(e.Number, "0") == "" {
		return text
	}
	return "fragment " + e.Number + ": " + text
}

// Frames returns the frames of a fragment whose cluster body gives: the Reader or the
// Follower that the fragment came from.
func Frames(f *Fragment, body io.Reader) *mkv.Frames {
	return mkv.NewFrames(mkv.NewReader(io.MultiReader(bytes.NewReader(f.Header), body), mkv.Options{}))
}

// The service's own tags (wire-media section 5.3).
const (
	tagPrefix    = "AWS_KINESISVIDEO_"
	tagNumber    = tagPrefix + "FRAGMENT_NUMBER"
	tagServer    = tagPrefix + "SERVER_TIMESTAMP"
	tagProducer  = tagPrefix + "PRODUCER_TIMESTAMP"
	tagBehind    = tagPrefix + "MILLIS_BEHIND_NOW"
	tagToken     = tagPrefix + "CONTINUATION_TOKEN"
	tagErrorID   = tagPrefix + "ERROR_ID"
	tagErrorCode = tagPrefix + "ERROR_CODE"
	tagException = tagPrefix + "EXCEPTION_ERROR_CODE"
	tagMessage   = tagPrefix + "EXCEPTION_MESSAGE"
)

// service is what a Tags element of the service says: values by name.
type service map[string]string

// serviceTags finds the service's tags in a Tags element; false = it is the producer's.
func serviceTags(tags []mkv.Tag) (service, bool) {
	s := service{}
	for _, tag := range tags {
		for _, simple := range tag.Simple {
			switch simple.Name {
			case tagNumber, tagServer, tagProducer, tagBehind, tagToken, tagErrorID, tagErrorCode, tagException, tagMessage:
				s[simple.Name] = strings.TrimSpace(simple.Value)
			}
		}
	}
	return s, len(s) > 0
}

// begins says whether the tags stand in front of a cluster.
func (s service) begins() bool { return s[tagNumber] != "" }

// ends says whether the tags are the last element of a chunk.
func (s service) ends() bool { return s[tagToken] != "" || s[tagBehind] != "" }

// failure is the error in the tags, nil when there is none.
func (s service) failure() error {
	id, code := s[tagErrorID], s[tagErrorCode]
	if id == "" && code == "" {
		id, code = s[tagException], s[tagMessage]
	}
	if id == "" && code == "" {
		return nil
	}
	e := &FragmentError{Number: s[tagNumber], Code: code}
	if n, err := strconv.Atoi(id); err == nil {
		e.ID = n
	}
	return e
}

// learn takes over what the tags say.
func (f *Fragment) learn(s service) error {
	for name, value := range s {
		var err error
		switch name {
		case tagNumber:
			f.Number = value
		case tagServer:
			f.ServerTime, err = parseSeconds(value)
		case tagProducer:
			f.ProducerTime, err = parseSeconds(value)
		case tagToken:
			f.Token = value
		case tagBehind:
			var ms int64
			ms, err = strconv.ParseInt(value, 10, 64)
			f.BehindNow = time.Duration(ms) * time.Millisecond
		}
		if err != nil {
			return fmt.Errorf("tag %s: %w", name, err)
		}
	}
	return nil
}

// maxSeconds is the end of the year 9999.
const maxSeconds = 253402300800

// parseSeconds reads epoch seconds with decimals, to the millisecond.
func parseSeconds(text string) (time.Time, error) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(math.Abs(seconds) < maxSeconds) {
		return time.Time{}, fmt.Errorf("%q is no time in epoch seconds", text)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), nil
}
