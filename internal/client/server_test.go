package client

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

var keys = sigv4.Credentials{AccessKey: "AKIAMILLRACEDEV00000", Secret: "millrace-dev-secret", SessionToken: "token"}

// serve starts a server that verifies each signature before handler sees the request,
// and returns a client for it. Bodies are part of the signature except PutMedia's.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth, err := sigv4.Parse(r)
		if err == nil {
			err = auth.Verify(keys.Secret, hashed(r))
		}
		if err != nil || auth.Region != "eu-central-1" || auth.Service != "kinesisvideo" || auth.SessionToken != keys.SessionToken {
			t.Errorf("signature of %s: %+v, %v", r.URL.Path, auth, err)
		}
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return &Client{Endpoint: server.URL, Credentials: keys, Region: "eu-central-1", HTTP: server.Client()}
}

// hashed reads the body of a request whose signature covers it and puts it back.
func hashed(r *http.Request) sigv4.BodyHash {
	if r.URL.Path == wire.PutMedia.Path {
		return nil
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return sigv4.Body(body)
}

// text answers every request with one body.
func text(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for i := 0; i < len(header); i += 2 {
			w.Header()[header[i]] = []string{header[i+1]}
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// raw is a server that reads the head of one request, sends answer, and closes the
// connection when the client does or, with cut, at once. Unlike net/http it does not
// wait for the rest of the request.
func raw(t *testing.T, answer string, cut bool) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, answer)
		if !cut {
			io.Copy(io.Discard, conn)
		}
	}()
	return &Client{Endpoint: "http://" + listener.Addr().String(), Credentials: keys, Region: "x"}
}
