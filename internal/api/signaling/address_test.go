package signaling

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/quota"
)

func TestEndpointsOfAChannel(t *testing.T) {
	for _, c := range []struct {
		name, domain, base, wish string
		storage                  bool
		want                     []string // protocol and address, or an exception
	}{
		{"nothing said", "", "https://kvs.example:8443", ``, false, []string{"WSS wss://kvs.example:8443/channel/viewer", "HTTPS https://kvs.example:8443"}},
		{"master", "", "https://kvs.example", `{"Protocols":["HTTPS","WSS"],"Role":"MASTER"}`, false, []string{"HTTPS https://kvs.example", "WSS wss://kvs.example/channel/master"}},
		{"master of a domain", "kvs.local", "https://kvs.example", `{"Role":"MASTER"}`, false, []string{"WSS wss://m-1.kvs.local", "HTTPS https://r-1.kvs.local"}},
		{"viewer of a domain, at a port", "kvs.local", "https://kvs.example:8443", `{"Protocols":["WSS"],"Role":"VIEWER"}`, false, []string{"WSS wss://v-1.kvs.local:8443"}},
		{"twice the same", "", "https://kvs.example", `{"Protocols":["WSS","WSS"]}`, false, []string{"WSS wss://kvs.example/channel/viewer"}},
		{"the plain listener", "", "http://127.0.0.1:8080", `{"Role":"MASTER"}`, false, []string{"WSS ws://127.0.0.1:8080/channel/master", "HTTPS http://127.0.0.1:8080"}},
		{"IPv6", "", "https://[::1]:8443", `{"Protocols":["WSS"]}`, false, []string{"WSS wss://[::1]:8443/channel/viewer"}},
		{"WEBRTC alone", "", "https://kvs.example", `{"Protocols":["WEBRTC"]}`, true, []string{"WEBRTC https://kvs.example"}},
		{"WEBRTC of a domain", "kvs.local", "https://kvs.example", `{"Protocols":["WEBRTC","WSS"],"Role":"MASTER"}`, true, []string{"WEBRTC https://r-1.kvs.local", "WSS wss://m-1.kvs.local"}},
		{"WEBRTC without storage", "", "https://kvs.example", `{"Protocols":["WSS","WEBRTC"]}`, false, []string{"stores to no stream"}},
		{"an unknown role", "", "https://kvs.example", `{"Role":"GUEST"}`, false, []string{"GUEST"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStudio(t, quota.Open, Addresses{Domain: c.domain, Base: func(*http.Request) string { return c.base }})
			if c.storage {
				s.storage = 7
			}
			body := `{"ChannelARN":"` + bell.ARN().String() + `"`
			if c.wish != "" {
				body += `,"SingleMasterChannelEndpointConfiguration":` + c.wish
			}
			status, answer := s.call("/getSignalingChannelEndpoint", body+"}")
			var out struct {
				ResourceEndpointList []struct{ Protocol, ResourceEndpoint string }
			}
			if status != 200 {
				if len(c.want) != 1 || !strings.Contains(answer, c.want[0]) {
					t.Errorf("%d %s", status, answer)
				}
				return
			}
			if err := json.Unmarshal([]byte(answer), &out); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range out.ResourceEndpointList {
				got = append(got, e.Protocol+" "+e.ResourceEndpoint)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Which requests are WebSockets, and what they want to be: by name, path, client id.
func TestWhoConnectsAsWhat(t *testing.T) {
	a := Addresses{Domain: "kvs.local"}
	for _, c := range []struct {
		name, method, url string
		upgrade           bool
		want              string // "" = no WebSocket
	}{
		{"master by name", "GET", "https://m-1.kvs.local/?X-Amz-ChannelARN=a", true, asMaster},
		{"any number", "GET", "https://M-27.KVS.local:443/", true, asMaster},
		{"viewer by name", "GET", "https://v-1.kvs.local/", true, asViewer},
		{"the name goes before the client id", "GET", "https://m-1.kvs.local/?X-Amz-ClientId=MASTER", true, asMaster},
		{"and before the path", "GET", "https://v-1.kvs.local/channel/master", true, asViewer},
		{"by path", "GET", "https://kvs.local/channel/master?X-Amz-ClientId=MASTER", true, asMaster},
		{"by path with a slash", "GET", "https://kvs.local/channel/viewer/?x=y", true, asViewer},
		{"by client id", "GET", "https://kvs.local/?x-amz-channelarn=a&X-Amz-ClientID=eve", true, asViewer},
		{"without one", "GET", "https://kvs.local/any/where?X-AMZ-CHANNELARN=a", true, asMaster},
		{"no upgrade at a name", "GET", "https://v-1.kvs.local/", false, asViewer},
		{"no upgrade at a path", "POST", "https://kvs.local/channel/viewer", false, asViewer},
		{"a call at a name", "POST", "https://v-1.kvs.local/describeStream", false, ""},
		{"the control plane", "POST", "https://kvs.local/?X-Amz-ChannelARN=a", false, ""},
		{"another upgrade", "GET", "https://kvs.local/", true, ""},
		{"another domain", "GET", "https://m-1.kvs.example/", true, ""},
		{"the name of HTTPS", "GET", "https://r-1.kvs.local/", true, ""},
	} {
		r := httptest.NewRequest(c.method, c.url, nil)
		if c.upgrade {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
		}
		got := ""
		if a.Wants(r) {
			got = a.Operation(r)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNamesOfACertificate(t *testing.T) {
	if d := cmp.Diff([]string{"m-1.kvs.local", "v-1.kvs.local", "r-1.kvs.local"}, Addresses{Domain: "kvs.local"}.Names()); d != "" {
		t.Error(d)
	}
	if names := (Addresses{}).Names(); names != nil {
		t.Error(names)
	}
}

// A parameter is found whatever its case, and never guessed.
func FuzzParameter(f *testing.F) {
	for _, seed := range []string{"X-Amz-ChannelARN=a", "x-amz-channelarn=%41&X-Amz-ChannelARN=b", "X-Amz-ChannelARN=%zz", "=&&X-AMZ-ChannelArn", "X-Amz-ChannelARN=a+b;c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Host: "h"}
		r.URL = httptest.NewRequest("GET", "/", nil).URL
		r.URL.RawQuery = query
		value, err := parameter(r, channelParameter)
		if err != nil && value != "" && !strings.Contains(err.Error(), "escaped") {
			t.Errorf("%q: %q with %v", query, value, err)
		}
		if n := strings.Count(strings.ToLower("&"+query), "&x-amz-channelarn="); n > 1 && err == nil {
			t.Errorf("%q: given %d times, and %q was taken", query, n, value)
		}
		if (err == nil && value != "") && !has(r, channelParameter) {
			t.Errorf("%q: not there?", query)
		}
		_ = Addresses{Domain: "kvs.local"}.Operation(r)
	})
}
