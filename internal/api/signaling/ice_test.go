package signaling

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

func (s *studio) askICE(members string) (int, string) {
	s.t.Helper()
	return s.call("/v1/get-ice-server-config", `{"ChannelARN":"`+bell.ARN().String()+`"`+members+`}`)
}

func TestICEServersOfAChannel(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	if status, body := s.askICE(""); status != 200 || body != `{"IceServerList":[]}` {
		t.Errorf("none: %d %s", status, body)
	}
	s.ice = []wire.IceServer{{Uris: []string{"turn:turn.example:443?transport=udp"}, Username: new("1:a+b/c="), Password: new("hush="), Ttl: new(int64(300))}}
	for members, want := range map[string]string{
		``:                     `{"IceServerList":[{"Password":"hush=","Ttl":300,"Uris":["turn:turn.example:443?transport=udp"],"Username":"1:a+b/c="}]}`,
		`,"ClientId":"anna"`:   `"turn:turn.example:443?transport=udp"`,
		`,"Service":"TURN"`:    `"Ttl":300`,
		`,"Username":"anna"`:   `"Ttl":300`,
		`,"Service":"STUN"`:    `'STUN'`,
		`,"ClientId":"a b"`:    "ClientId",
		`,"ClientId":"aws_me"`: "must not begin with AWS_",
	} {
		status, body := s.askICE(members)
		good := strings.Contains(want, "{") || strings.Contains(want, "Ttl") || strings.Contains(want, "turn:")
		if !strings.Contains(body, want) || (status == 200) != good {
			t.Errorf("%s: %d %s", members, status, body)
		}
	}
}

// A viewer that was connected for 45 minutes may not ask for servers any more in the profile
// aws; others may, and who is not connected.
func TestOldSessionsGetNoICEServers(t *testing.T) {
	for profile, refused := range map[quota.Profile]bool{quota.AWS: true, quota.Open: false} {
		s := newStudio(t, profile, Addresses{})
		s.join(viewerPath, "X-Amz-ClientId=anna")
		s.join(masterPath)
		seated(t, s, 1)
		check := func(id string, refused bool) {
			t.Helper()
			status, body := s.askICE(id)
			if (status == 400) != refused || refused && !strings.Contains(body, "has been connected for more than 45m0s") {
				t.Errorf("%s %s: %d %s", profile, id, status, body)
			}
		}
		check(`,"ClientId":"anna"`, false)
		s.mu.Lock()
		s.late = 46 * time.Minute
		s.mu.Unlock()
		check(`,"ClientId":"anna"`, refused)
		check(`,"ClientId":"berta"`, false)
		check(``, false)
	}
}

// seated waits until the channel has so many viewers, and a master.
func seated(t *testing.T, s *studio, viewers int) {
	t.Helper()
	for {
		if all := s.hub.Presence(account, bell.Name); len(all) == 1 && all[0].Master != nil && len(all[0].Viewers) == viewers {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("they do not come")
		}
	}
}

func TestAlexaOffers(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	master := s.join(masterPath)
	type answer struct {
		status int
		body   string
	}
	ask := func() chan answer {
		got := make(chan answer, 1)
		go func() {
			status, body := s.call("/v1/send-alexa-offer-to-master", `{"ChannelARN":"`+bell.ARN().String()+`","SenderClientId":"alexa","MessagePayload":"b2ZmZXI="}`)
			got <- answer{status, body}
		}()
		return got
	}
	got := ask()
	if m := hear(t, master); !strings.Contains(m, `"messagePayload":"b2ZmZXI="`) || !strings.Contains(m, `"senderClientId":"alexa"`) {
		t.Errorf("the master got %s", m)
	}
	say(t, master, `{"action":"SDP_ANSWER","messagePayload":"YW5zd2Vy","recipientClientId":"alexa"}`)
	if a := <-got; a.status != 200 || a.body != `{"Answer":"YW5zd2Vy"}` {
		t.Errorf("%+v", a)
	}
	got = ask()
	hear(t, master)
	s.closing()
	if a := <-got; a.status != 503 || !strings.Contains(a.body, "stopping") {
		t.Errorf("at the end of the server: %+v", a)
	}
}
