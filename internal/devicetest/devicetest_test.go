package devicetest

import (
	"fmt"
	"strings"
	"testing"
)

const (
	describe = `{"ChannelInfo":{"ChannelName":"door","ChannelARN":"arn:aws:kinesisvideo:us-east-1:123456789012:channel/door/1784725440123",` +
		`"ChannelType":"SINGLE_MASTER","ChannelStatus":"ACTIVE","CreationTime":1784725440.123,"SingleMasterConfiguration":{"MessageTtlSeconds":60},"Version":"1a"}}`
	wssAndHTTPS = `{"ResourceEndpointList":[{"Protocol":"WSS","ResourceEndpoint":"wss://m-1.kvs.example"},{"Protocol":"HTTPS","ResourceEndpoint":"https://r-1.kvs.example"}]}`
	relay       = `{"IceServerList":[{"Uris":["turn:192.0.2.1:443?transport=udp","turns:t.kvs.example:443?transport=tcp"],"Username":"1:a","Password":"b=","Ttl":300}]}`
	refusal     = `{"messagePayload":"e30=","messageType":"STATUS_RESPONSE","statusResponse":{"correlationId":"a","errorType":"InvalidArgumentException","statusCode":"400","description":"no","success":false}}`
)

func answer(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nDate: Sun, 22 Nov 2026 18:35:47 GMT\r\nx-amzn-RequestId: 1\r\n\r\n%s", len(body), body)
}

func verdict(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want an error with %q", what, err, want)
	}
}

func TestAnswers(t *testing.T) {
	endpoint, ice, described := "GetSignalingChannelEndpoint", "GetIceServerConfig", "DescribeSignalingChannel"
	for _, c := range []struct{ operation, raw, want string }{
		{described, answer(describe), ""},
		{endpoint, answer(wssAndHTTPS), ""},
		{ice, answer(relay), ""},
		{ice, answer(`{"IceServerList":[]}`), ""},
		{"DescribeMediaStorageConfiguration", answer(`{"MediaStorageConfiguration":{"Status":"DISABLED","StreamARN":null}}`), ""},
		{"DescribeMediaStorageConfiguration", answer(`{"MediaStorageConfiguration":{"Status":""}}`), "Status is empty"},
		{described, strings.Replace(answer(describe), "Content-Length", "X-Length", 1), "with its length"},
		{described, strings.Replace(answer(describe), "Date", "X-Date", 1), "clock"},
		{described, strings.Replace(answer(describe), "x-amzn-RequestId", "id", 1), "x-amzn-RequestId"},
		{described, strings.Replace(answer(describe), "200 OK", "404 Not Found", 1), "x-amzn-ErrorType"},
		{described, answer(`{"a":1,` + describe[1:]), "first member"},
		{described, answer(strings.Replace(describe, `"MessageTtl`, `"x":1,"MessageTtl`, 1)), "does not follow"},
		{described, answer(strings.Replace(describe, `:60`, `:60.5`, 1)), "not a number"},
		{described, answer(strings.Replace(describe, `"Version"`, `"Vers"`, 1)), "would be taken for Version"},
		{described, answer(strings.Replace(describe, `:channel`, `\u003achannel`, 1)), "escape"},
		{endpoint, answer(strings.Replace(wssAndHTTPS, `"HTTPS"`, `"HTTP"`, 1)), "unknown protocol"},
		{endpoint, answer(`{"ResourceEndpointList":[{"Protocol":"WSS","ResourceEndpoint":"wss://a"}]}`), "needs WSS and HTTPS"},
		{ice, answer(strings.Replace(relay, ":443?", "?", 1)), "is not turn:HOST:PORT"},
		{ice, answer(strings.Replace(relay, "?transport=udp", "", 1)), "is not turn:HOST:PORT"},
		{ice, answer(strings.Replace(relay, ":300", ":30", 1)), "not a number"},
		{ice, answer(strings.Replace(relay, `"Uris":[`, `"Uris":["turn:a:1?transport=udp","turn:a:2?transport=udp",`, 1)), "4 Uris"},
		{ice, answer(`{"IceServerList":[` + strings.Repeat(`{"Ttl":300},`, 40) + `{}]}`), "room for 100"},
		{ice, answer(`{"IceServerList":["` + strings.Repeat("a", maxAnswer) + `"]}`), "a body of"},
	} {
		verdict(t, c.operation+" "+c.raw[:min(len(c.raw), 400)], Answer(c.operation, []byte(c.raw)), c.want)
	}
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{refusal, ""},
		{`{"messagePayload":"e30=","messageType":"GO_AWAY"}`, ""},
		{`{"messagePayload":"e30=","messageType":"SDP_OFFER","senderClientId":"anna"}`, ""},
		{`{"messagePayload":"e30=","messageType":"SDP_OFFER","senderClientId":""}`, "empty senderClientId"},
		{`{"messageType":"GO_AWAY"}`, "missing"},
		{`{"messagePayload":"","messageType":"GO_AWAY"}`, "empty"},
		{`{"messagePayload":"e30","messageType":"GO_AWAY"}`, "not standard base64"},
		{`{"messagePayload":"--_-","messageType":"SDP_OFFER"}`, "not standard base64"},
		{`{"MessagePayload":"e30=","messageType":"GO_AWAY"}`, "should be messagePayload"},
		{`{"messagePayload":"e30=","messageType":"GO_AWAY","message":"x"}`, "would be taken for"},
		{`{"messagePayload":"e30=","messageType":"HELLO"}`, "unknown type"},
		{strings.Replace(refusal, `"400"`, `400`, 1), "cannot unmarshal number"},
		{strings.Replace(refusal, `"statusCode":"400",`, ``, 1), "not complete"},
		{strings.Replace(refusal, `"no"`, `"`+strings.Repeat(`\n`, 513)+`"`, 1), "as it is written"},
		{`{"messagePayload":"` + strings.Repeat("e30=", 4700) + `","messageType":"SDP_OFFER"}`, "takes 18750"},
	} {
		verdict(t, c.message[:min(len(c.message), 200)], Message([]byte(c.message)), c.want)
	}
}

func TestDialable(t *testing.T) {
	for endpoint, want := range map[string]string{
		"wss://m-1.kvs.example":        "",
		"wss://m-1.kvs.example:8443":   "port",
		"wss://m-1.kvs.example/master": "path",
	} {
		verdict(t, endpoint, Dialable(endpoint), want)
	}
}
