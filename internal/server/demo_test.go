package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/api/watch"
	"github.com/millrace/millrace/internal/wire"
)

// The page of a development server gets all that a browser needs to join a channel.
func TestTheDemoCallPage(t *testing.T) {
	p := devPlant(t, "2030-01-01@0")
	if code, why := p.browse("POST", watch.CallPath+"/join?channel=nowhere"); code != http.StatusConflict || !strings.Contains(why, "ResourceNotFoundException") {
		t.Errorf("an invitation to nothing: %d, %s", code, why)
	}
	p.ask("CreateSignalingChannel", &wire.CreateSignalingChannelInput{ChannelName: new("door")}, nil)
	code, text := p.browse("POST", watch.CallPath+"/join?channel=door")
	var card watch.Invitation
	if err := json.Unmarshal([]byte(text), &card); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s %v", code, text, err)
	}
	conn, _, err := websocket.Dial(t.Context(), card.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

// No other server invites without a key.
func TestOnlyDevelopmentServersHaveTheCallPage(t *testing.T) {
	p := newPlant(t, nil)
	for _, c := range []struct{ method, path string }{{"GET", ""}, {"GET", "/call.js"}, {"POST", "/join"}} {
		if code, text := p.browse(c.method, watch.CallPath+c.path); !strings.Contains(text, "UnknownOperationException") {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, text)
		}
	}
}
