package server

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/devicetest"
)

// device is a request that a program on a device sent over the wire.
type device struct {
	Name, Method, Target, Body, Token string
	Headers                           [][2]string
}

// TestRecordedRequestsOfDevices plays the requests of real devices, in their order and with
// the headers that they signed, to a server with a domain, and reads the answers as they do.
func TestRecordedRequestsOfDevices(t *testing.T) {
	text, err := os.ReadFile("../../sigv4/testdata/devices.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct{ Requests []device }
	if err := json.Unmarshal(text, &recorded); err != nil || len(recorded.Requests) < 10 {
		t.Fatalf("%d requests, %v", len(recorded.Requests), err)
	}
	p := newPlant(t, func(c *config.Config) { c.Signaling.Domain = "kvs.test" })
	channel := ""
	for i, d := range recorded.Requests {
		if d.Token != "" {
			continue // of a session that this server did not give
		}
		raw, body := p.replay(d, channel)
		operation := d.Name[strings.LastIndexByte(d.Name, ' ')+1:]
		want := "200"
		switch {
		case i == 0:
			want = "404" // it asks, and makes the channel then
		case operation == "Connect":
			want = "101"
		}
		if !strings.HasPrefix(raw, "HTTP/1.1 "+want) {
			t.Errorf("%s: %.300s", d.Name, raw)
			continue
		}
		if operation == "CreateSignalingChannel" {
			channel = regexp.MustCompile(`arn:[^"]*`).FindString(body)
		}
		if want == "101" {
			continue
		}
		if err := devicetest.Answer(operation, []byte(raw)); err != nil {
			t.Errorf("%s: %v\n%s", d.Name, err, raw)
		}
		if operation == "GetSignalingChannelEndpoint" {
			for _, e := range regexp.MustCompile(`(wss|https)://[^"]*`).FindAllString(body, -1) {
				if err := devicetest.Dialable(strings.TrimSuffix(e, p.port())); err != nil {
					t.Errorf("%s: %v", d.Name, err)
				}
			}
		}
	}
}

// port is what stands behind names because the test does not listen on 443.
func (p *plant) port() string {
	u, _ := url.Parse(p.URL("https"))
	return ":" + u.Port()
}

const recordedARN = "arn:aws:kinesisvideo:us-east-1:123456789012:channel/door/1784725440123"

// replay sends a request as it was recorded, but for the channel, the time, and what is signed with
// them, and returns the answer as it stood on the wire.
func (p *plant) replay(d device, channel string) (raw, body string) {
	p.t.Helper()
	if channel != "" {
		d.Body = strings.ReplaceAll(d.Body, recordedARN, channel)
		d.Target = strings.ReplaceAll(d.Target, url.QueryEscape(recordedARN), url.QueryEscape(channel))
	}
	request := p.signAs(d)
	u, _ := url.Parse(p.URL("http"))
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		p.t.Fatal(err)
	}
	var kept strings.Builder
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &kept)), &http.Request{Method: d.Method})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return kept.String(), ""
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return kept.String(), string(b)
}

// signAs writes the request with a signature of now over what its sender had signed.
func (p *plant) signAs(d device) string {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/us-east-1/kinesisvideo/aws4_request"
	path, query, presigned := strings.Cut(d.Target, "?")
	signed := []string{"host"}
	if presigned {
		query = regexp.MustCompile(`X-Amz-Date=[^&]*`).ReplaceAllString(query, "X-Amz-Date="+stamp)
		query = regexp.MustCompile(`X-Amz-Credential=[^&]*`).ReplaceAllString(query, "X-Amz-Credential="+url.QueryEscape(p.Credentials.AccessKey+"/"+scope))
		query = regexp.MustCompile(`&X-Amz-Signature=[^&]*`).ReplaceAllString(query, "")
	}
	for i, h := range d.Headers {
		switch strings.ToLower(h[0]) {
		case "x-amz-date":
			d.Headers[i][1] = stamp
		case "content-length":
			d.Headers[i][1] = fmt.Sprint(len(d.Body))
		case "authorization":
			signed = strings.Split(regexp.MustCompile(`SignedHeaders=([^,]*)`).FindStringSubmatch(h[1])[1], ";")
		}
	}
	signature := p.signature(d, path, query, signed, stamp, scope)
	var b strings.Builder
	if presigned {
		query += "&X-Amz-Signature=" + signature
		path += "?" + query
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", d.Method, path)
	for _, h := range d.Headers {
		if strings.EqualFold(h[0], "authorization") {
			h[1] = fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", p.Credentials.AccessKey, scope, strings.Join(signed, ";"), signature)
		}
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	return b.String() + "\r\n" + d.Body
}

func (p *plant) signature(d device, path, query string, signed []string, stamp, scope string) string {
	pairs := strings.Split(query, "&")
	slices.Sort(pairs)
	canonical := d.Method + "\n" + path + "\n" + strings.Join(pairs, "&") + "\n"
	for _, name := range signed {
		for _, h := range d.Headers {
			if strings.EqualFold(h[0], name) {
				canonical += name + ":" + strings.TrimSpace(h[1]) + "\n"
			}
		}
	}
	canonical += "\n" + strings.Join(signed, ";") + "\n" + digest(d.Body)
	key := []byte("AWS4" + p.Credentials.Secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = keyed(key, part)
	}
	return hex.EncodeToString(keyed(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+digest(canonical)))
}

func digest(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text)
	return h.Sum(nil)
}
