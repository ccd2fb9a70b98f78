package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
)

// devBlock is what a development server prints when it starts: lines to paste.
type devBlock struct {
	program     string // how millrace was called
	https, http string // URLs, "" = no such listener
	region      string
	ca          string // file of the server's own CA, "" = it has none
	data        string
	demo        bool
}

func announceDev(w io.Writer, c config.Config, srv *server.Server, program, data string) {
	b := devBlock{program: program, https: srv.URL("https"), http: srv.URL("http"), region: c.Regions[0], data: data, demo: !c.Emulate.NoDemo}
	if c.HTTPS != "" && c.TLS.Cert == "" {
		b.ca = filepath.Join(data, "ca.pem")
	}
	b.print(w)
}

func (b devBlock) print(w io.Writer) {
	fmt.Fprintf(w, `Millrace development server: this machine only, keys that everybody knows.

  endpoints   %s
  region      %s
  account     %s
  access key  %s
  secret key  %s
`, join(b.https, b.http), b.region, config.DevAccount, config.DevAccessKey, config.DevSecret)
	if b.ca != "" {
		fmt.Fprintf(w, "  CA file     %s\n", b.ca)
	}
	fmt.Fprintf(w, "  data        %s\n\n", b.data)
	keys := fmt.Sprintf("export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_DEFAULT_REGION=%s", config.DevAccessKey, config.DevSecret, b.region)
	url := first(b.https, b.http)
	fmt.Fprintf(w, "For the AWS CLI, boto3 and millrace itself:\n  %s\n  export AWS_ENDPOINT_URL=%s%s\n\n", keys, url, b.trust("AWS_CA_BUNDLE"))
	fmt.Fprintf(w, "For kvssink and the C producer samples:\n  %s\n  export CONTROL_PLANE_URI=%s%s\n\n", keys, url, b.trust("KVSSINK_CA_CERT_PATH", "AWS_KVS_CACERT_PATH"))
	b.next(w)
}

// trust is the variables that name the CA; none without one, because clients fail on a
// file that is not there.
func (b devBlock) trust(variables ...string) (text string) {
	if b.ca == "" {
		return ""
	}
	for _, v := range variables {
		text += " " + v + "=" + b.ca
	}
	return text
}

// next says what to try.
func (b devBlock) next(w io.Writer) {
	if !b.demo {
		fmt.Fprintf(w, "There is no stream yet. In another terminal, after the first export lines:\n  %s put garden FILE.mkv --create --acks\n", b.program)
		return
	}
	fmt.Fprintf(w, "The stream %q shows the built-in camera. Try next, in another terminal, after the first export lines:\n  %s list %s\n  %s get %s --start NOW -o - | ffplay -\n",
		config.DevStream, b.program, config.DevStream, b.program, config.DevStream)
	fmt.Fprintf(w, "The signaling channel %q sends it by WebRTC:\n  %s webrtc viewer %s -o - | ffplay -\n", config.DevStream, b.program, config.DevStream)
}

func first(urls ...string) string {
	for _, u := range urls {
		if u != "" {
			return u
		}
	}
	return ""
}

func join(urls ...string) string {
	text := ""
	for _, u := range urls {
		if u != "" && text != "" {
			text += " and "
		}
		text += u
	}
	return text
}
