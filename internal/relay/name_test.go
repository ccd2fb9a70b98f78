package relay

import (
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// The log names channels as operators do, while there is a name.
func TestTheLogNamesChannels(t *testing.T) {
	s := &Server{o: Options{Name: func(id kvs.ChannelID) string { return map[kvs.ChannelID]string{7: "door"}[id] }}}
	if got := s.channel(7); got != "door" {
		t.Error(got)
	}
	if got := s.channel(8); got != "8" { // deleted
		t.Error(got)
	}
}
