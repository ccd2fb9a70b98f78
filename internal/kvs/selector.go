package kvs

// StartType says how a reader names the fragment it wants to start with.
type StartType uint8

// The ways to name a start (media sheet, section 5).
const (
	StartNow      StartType = iota // the fragment now arriving, else the newest stored
	StartEarliest                  // the oldest available
	StartAfter                     // the one after Number
	StartAt                        // the one that contains Time on Clock, else the next
)

// Selector names the fragment a reader starts with.
type Selector struct {
	Type   StartType
	Number FragmentNumber // StartAfter
	Clock  Clock          // StartAt
	Time   Millis         // StartAt
}

// Before is the last possible number in front of all numbers with f's counter: a
// reader that goes on after it begins with f.
func (f FragmentNumber) Before() FragmentNumber {
	return FragmentNumber{N: f.N - 1, Server: 1<<63 - 1, Random: RandomMask}
}
