package watch

import (
	"context"
	"encoding/json"
	"html/template"
	"io/fs"
	"net/http"
)

// CallPath is where the page is that shows a signaling channel by WebRTC.
const CallPath = "/demo/webrtc"

// Caller is the name of the file of the JavaScript SDK of the original service, npm
// amazon-kinesis-video-streams-webrtc, in the folder player.
const Caller = "kvs-webrtc.min.js"

// ICEServer is one line of what a browser's RTCPeerConnection is made with.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Invitation is all that a page needs to join a channel as a viewer.
type Invitation struct {
	ClientID   string      `json:"clientId"`
	URL        string      `json:"url"` // signed: who has it may join
	ICEServers []ICEServer `json:"iceServers"`
}

// CallOptions are what the page is made of.
type CallOptions struct {
	// Invite returns what a browser needs that reaches this server at the given URL.
	Invite func(ctx context.Context, server, channel string) (Invitation, error)
	// Channels returns the names of the channels to choose from.
	Channels func(ctx context.Context) ([]string, error)
	// Channel is the one that is shown when none was chosen.
	Channel string
	// Files has what make demo-player made; nil = what is built in.
	Files fs.FS
}

// CallHandler returns what serves CallPath and what is below it.
func CallHandler(o CallOptions) http.Handler {
	if o.Files == nil {
		o.Files, _ = fs.Sub(files, "player") // the name is valid
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+CallPath, o.page)
	mux.HandleFunc("POST "+CallPath+"/join", o.join)
	for name, kind := range map[string]string{"call.js": "text/javascript", "page.css": "text/css", Caller: "text/javascript"} {
		mux.HandleFunc("GET "+CallPath+"/"+name, func(w http.ResponseWriter, r *http.Request) { sendFile(w, r, o.Files, name, kind) })
	}
	// Other pages could have a browser ask for an invitation that this one reads back.
	return local(http.NewCrossOriginProtection().Handler(mux))
}

// callPage is what player/call.html shows.
type callPage struct {
	SDK      bool
	Channel  string
	Channels []string
	Problem  string
}

// page shows the channel, or how to get what shows it.
func (o *CallOptions) page(w http.ResponseWriter, r *http.Request) {
	p := callPage{Channel: o.Channel}
	if name := r.URL.Query().Get("channel"); name != "" {
		p.Channel = name
	}
	_, err := fs.Stat(o.Files, Caller)
	p.SDK = err == nil
	if p.Channels, err = o.Channels(r.Context()); err != nil {
		p.Problem = err.Error()
	}
	show(w, callLayout, p)
}

var callLayout = template.Must(template.ParseFS(files, "player/call.html"))

// join answers with an invitation, or in words why there is none.
func (o *CallOptions) join(w http.ResponseWriter, r *http.Request) {
	channel := r.URL.Query().Get("channel")
	if channel == "" {
		channel = o.Channel
	}
	server := "http://" + r.Host
	if r.TLS != nil {
		server = "https://" + r.Host
	}
	invitation, err := o.Invite(r.Context(), server, channel)
	kind, answer := "application/json", []byte(nil)
	if err == nil {
		answer, err = json.Marshal(invitation)
	}
	if err != nil {
		kind, answer = "text/plain; charset=utf-8", []byte(err.Error())
	}
	w.Header().Set("Content-Type", kind)
	if err != nil {
		w.WriteHeader(http.StatusConflict)
	}
	_, _ = w.Write(answer) // who went away sees nothing
}
