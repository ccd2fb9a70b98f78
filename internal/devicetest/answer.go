package devicetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is how many bytes of an answer's body the C SDK reads at once; the next ones would
// take their place.
const maxAnswer = 10 << 10

// wrappers are the members that must be written first in the answers of operations.
var wrappers = map[string]string{
	"DescribeSignalingChannel":          "ChannelInfo",
	"CreateSignalingChannel":            "ChannelARN",
	"GetSignalingChannelEndpoint":       "ResourceEndpointList",
	"GetIceServerConfig":                "IceServerList",
	"DescribeMediaStorageConfiguration": "MediaStorageConfiguration",
}

// Answer says what a device would not understand in an answer, given as it stood on the wire.
// Answers that are exceptions only need the head.
func Answer(operation string, raw []byte) error {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: http.MethodPost})
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := head(r, body); err != nil || r.StatusCode != http.StatusOK {
		return err
	}
	return errors.Join(first(operation, body), prefixes(body), values(operation, body))
}

// head checks what the C SDK and libwebsockets read of the head of an answer.
func head(r *http.Response, body []byte) error {
	var errs []error
	if r.ProtoMajor != 1 || r.ContentLength < 0 || r.Header.Get("Content-Length") != strconv.Itoa(len(body)) || len(r.TransferEncoding) > 0 {
		errs = append(errs, errors.New("not an answer of HTTP/1.1 with its length"))
	}
	if len(body) > maxAnswer {
		errs = append(errs, fmt.Errorf("a body of %d bytes; the C SDK keeps what it reads last, at most %d", len(body), maxAnswer))
	}
	if _, err := time.Parse(http.TimeFormat, r.Header.Get("Date")); err != nil {
		errs = append(errs, fmt.Errorf("no date to set a clock by: %w", err))
	}
	if r.Header.Get("x-amzn-RequestId") == "" {
		errs = append(errs, errors.New("no x-amzn-RequestId"))
	}
	if r.StatusCode != http.StatusOK && (len(body) == 0 || r.Header.Get("x-amzn-ErrorType") == "") {
		errs = append(errs, errors.New("an exception without its name in x-amzn-ErrorType or without a body"))
	}
	return errors.Join(errs...)
}

// first checks the order of members that strict readers insist on.
func first(operation string, body []byte) error {
	names, err := members(body)
	if err != nil || len(names) == 0 {
		return errors.Join(err, errors.New("an answer without members"))
	}
	if want := wrappers[operation]; names[0] != want {
		return fmt.Errorf("the first member is %s, not %s", names[0], want)
	}
	if i := slices.Index(names, "SingleMasterConfiguration"); i >= 0 && (i+1 == len(names) || names[i+1] != "MessageTtlSeconds") {
		return errors.New("MessageTtlSeconds does not follow SingleMasterConfiguration")
	}
	return nil
}

// known are the members of answers and messages that devices look for.
var known = []string{
	"ChannelInfo", "ChannelARN", "ChannelName", "ChannelStatus", "ChannelType", "CreationTime", "SingleMasterConfiguration",
	"MessageTtlSeconds", "Version", "ResourceEndpointList", "Protocol", "ResourceEndpoint", "IceServerList", "Uris", "Username",
	"Password", "Ttl", "MediaStorageConfiguration", "Status", "StreamARN",
	"messagePayload", "messageType", "senderClientId", "statusResponse", "correlationId", "errorType", "statusCode", "description",
}

// prefixes finds members that a reader which compares no further than a name goes would take
// for longer ones.
func prefixes(body []byte) error {
	names, err := members(body)
	for _, n := range names {
		for _, k := range known {
			if n != k && strings.HasPrefix(k, n) && !slices.Contains(known, n) {
				err = errors.Join(err, fmt.Errorf("the member %q would be taken for %s", n, k))
			}
		}
	}
	return err
}

// copied are the members whose values the C SDK copies as they are written, and their room.
var copied = map[string]int{
	"ChannelARN": 1024, "StreamARN": 1024, "ChannelName": 256, "Version": 64, "ChannelStatus": 32, "ChannelType": 32,
	"ResourceEndpoint": 512, "Protocol": 8, "Username": 256, "Password": 256, "Status": 1024,
}

// values checks what the C SDK does with the members of an answer: it walks over the tokens,
// whatever their depth, and takes the one behind a name that it knows.
func values(operation string, body []byte) error {
	all, err := tokens(body)
	if err != nil {
		return err
	}
	for i := 1; i+1 < len(all); i++ {
		name, value := all[i], all[i+1]
		room, ok := copied[name.raw]
		switch {
		case name.kind != text:
			continue
		case ok && value.kind == text:
			err = errors.Join(err, fits(name.raw, value, room))
		case ok && (name.raw != "StreamARN" || value.raw != "null"):
			err = errors.Join(err, fmt.Errorf("%s is no text", name.raw))
		case name.raw == "MessageTtlSeconds" || name.raw == "Ttl":
			err = errors.Join(err, seconds(name.raw, value))
		case name.raw == "Uris":
			err = errors.Join(err, uris(value, all[i+2:]))
		default:
			continue
		}
		i++
	}
	if operation == "GetSignalingChannelEndpoint" {
		err = errors.Join(err, endpoints(all))
	}
	return err
}

func fits(name string, value token, room int) error {
	switch {
	case len(value.raw) > room:
		return fmt.Errorf("%s has %d bytes, %d fit", name, len(value.raw), room)
	case value.raw == "":
		return fmt.Errorf("%s is empty", name) // an empty Status would be taken for ENABLED
	case strings.Contains(value.raw, `\`):
		return fmt.Errorf("%s is written with an escape, which the C SDK would copy: %s", name, value.raw)
	}
	return nil
}

// seconds checks a time in seconds: small devices have four digits for one, and no fractions.
func seconds(name string, value token) error {
	least, most, digits := 5, 120, 4
	if name == "Ttl" {
		least, most, digits = 31, 86400, 5
	}
	n, err := strconv.Atoi(value.raw)
	if err != nil || value.kind != primitive || n < least || n > most || len(value.raw) > digits {
		return fmt.Errorf("%s is %s, not a number from %d to %d", name, value.raw, least, most)
	}
	return nil
}

// uris checks the addresses of a relay: three fit everywhere, and each needs its port and its
// transport, because some readers take the wrong part for a missing one.
func uris(value token, rest []token) error {
	if value.kind != array || value.size > 3 || value.size > len(rest) {
		return fmt.Errorf("%d Uris, 3 fit", value.size)
	}
	var err error
	for _, u := range rest[:value.size] {
		host, query, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(u.raw, "turns:"), "turn:"), "?")
		colon := strings.LastIndexByte(host, ':')
		_, noPort := strconv.ParseUint(host[colon+1:], 10, 16)
		stun := strings.HasPrefix(u.raw, "stun:")
		if len(u.raw) > 127 || strings.Contains(u.raw, `\`) || colon < 1 || noPort != nil || !stun && query != "transport=udp" && query != "transport=tcp" {
			err = errors.Join(err, fmt.Errorf("the URI %q is not turn:HOST:PORT?transport=... in at most 127 bytes", u.raw))
		}
	}
	return err
}

// endpoints checks that both endpoints that everybody needs are there, and each is known.
func endpoints(all []token) error {
	var got []string
	for i := 1; i+1 < len(all); i++ {
		if all[i].raw == "Protocol" {
			got = append(got, all[i+1].raw)
			i++
		}
	}
	for _, p := range got {
		if !slices.Contains([]string{"WSS", "HTTPS", "WEBRTC"}, p) {
			return fmt.Errorf("an endpoint of an unknown protocol %q", p)
		}
	}
	if !slices.Contains(got, "WSS") || !slices.Contains(got, "HTTPS") {
		return fmt.Errorf("endpoints only for %v; the C SDK needs WSS and HTTPS", got)
	}
	return nil
}

// Dialable says why a client that always dials port 443 and drops paths, as those on telephones
// and in the C SDK do, would not reach an endpoint.
func Dialable(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	if u.Port() != "" || u.Path != "" || u.RawQuery != "" || u.Hostname() == "" {
		return fmt.Errorf("the endpoint %s has a port or a path", endpoint)
	}
	return nil
}
