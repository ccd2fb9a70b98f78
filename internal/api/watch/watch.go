// Package watch has the pages of a development server that play its streams, /demo/play, and
// show its signaling channels, /demo/webrtc, in a browser. A browser cannot sign, so the pages
// ask for a signed URL by POST and get it without a key. That is for nobody but the person at
// the machine: only servers that listen on the loopback interface alone may have them.
//
// The player is hls.js, and what joins a channel is the JavaScript SDK of the original
// service. Both have the Apache license 2.0 and are not in this repository: make demo-player
// puts them where they are built in. Without them the pages say so.
package watch

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Path is where the page is; what belongs to it is below.
const Path = "/demo/play"

// Player is the name of the file of hls.js in the folder player.
const Player = "hls.min.js"

//go:embed player
var files embed.FS

// Options are what the page is made of.
type Options struct {
	// Session returns where a stream plays live, as a path of this server.
	Session func(ctx context.Context, stream string) (path string, err error)
	// Streams returns the names of the streams to choose from.
	Streams func(ctx context.Context) ([]string, error)
	// Stream is the one that is played when none was chosen.
	Stream string
	// Files has what make demo-player made; nil = what is built in.
	Files fs.FS
}

// page is what player/page.html shows.
type page struct {
	Player  bool
	Stream  string
	Streams []string
	Problem string
}

// policy lets the page load nothing from elsewhere. hls.js makes its worker of a blob.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' blob:; " +
	"worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler returns what serves Path and what is below it.
func Handler(o Options) http.Handler {
	if o.Files == nil {
		o.Files, _ = fs.Sub(files, "player") // the name is valid
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, o.page)
	mux.HandleFunc("POST "+Path+"/session", o.session)
	for name, kind := range map[string]string{"page.js": "text/javascript", "page.css": "text/css", Player: "text/javascript"} {
		mux.HandleFunc("GET "+Path+"/"+name, func(w http.ResponseWriter, r *http.Request) { sendFile(w, r, o.Files, name, kind) })
	}
	// Other pages could have a browser ask for a session that this one reads back.
	return local(http.NewCrossOriginProtection().Handler(mux))
}

// local serves requests to this machine's own names only: the name of a foreign page that
// leads to the loopback address is none.
func local(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cache-Control", "no-store")
		if !loopback(r.Host) {
			http.Error(w, "this page is at http://localhost only", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback()
}

// page shows the player, or how to get it.
func (o *Options) page(w http.ResponseWriter, r *http.Request) {
	p := page{Stream: o.Stream}
	if name := r.URL.Query().Get("stream"); name != "" {
		p.Stream = name
	}
	_, err := fs.Stat(o.Files, Player)
	p.Player = err == nil
	if p.Streams, err = o.Streams(r.Context()); err != nil {
		p.Problem = err.Error()
	}
	show(w, layout, p)
}

// show answers with a page.
func show(w http.ResponseWriter, layout *template.Template, page any) {
	var b bytes.Buffer
	if err := layout.Execute(&b, page); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // who went away sees nothing
}

var layout = template.Must(template.ParseFS(files, "player/page.html"))

// session answers with where a stream plays, or in words why it does not.
func (o *Options) session(w http.ResponseWriter, r *http.Request) {
	stream := r.URL.Query().Get("stream")
	if stream == "" {
		stream = o.Stream
	}
	path, err := o.Session(r.Context(), stream)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		path = err.Error()
	}
	_, _ = w.Write([]byte(path)) // who went away sees nothing
}

// sendFile sends a file of a page.
func sendFile(w http.ResponseWriter, r *http.Request, from fs.FS, name, kind string) {
	b, err := fs.ReadFile(from, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // who went away sees nothing
}
