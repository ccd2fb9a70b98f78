package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// The requests of wire-media section 2.1 whose signers are not at hand as programs. Each
// is given with the canonical request its client signs, written out by hand and signed
// here with crypto/hmac, so that nothing of the package itself is used.
const (
	wireKey    = "AKIDPRODUCEREXAMPLE0"
	wireSecret = "producer/Secret+0123456789abcdefghijklmn"
	wireTime   = "20260517T083015Z"
	wireScope  = "20260517/us-west-2/kinesisvideo/aws4_request"
	wireHost   = "s-1a2b3c4d.kinesisvideo.us-west-2.amazonaws.com"
	wireToken  = "FwoGZXIvYXdzEBYaDExample+Token/With=Signs=="
)

func wireSign(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + wireSecret)
	for _, s := range append(strings.Split(wireScope, "/"),
		"AWS4-HMAC-SHA256\n"+wireTime+"\n"+wireScope+"\n"+hex.EncodeToString(sum[:])) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// wireRequest puts the signature of canonical lines into a request. lines are those
// between the method and the payload: path, query, headers.
func wireRequest(name, separator, target string, canonical []string, payload string, headers ...string) recorded {
	var names []string
	for _, line := range canonical[2:] {
		n, _, _ := strings.Cut(line, ":")
		names = append(names, n)
	}
	signed := strings.Join(names, ";")
	text := "POST\n" + strings.Join(canonical, "\n") + "\n\n" + signed + "\n" + payload
	q := recorded{Name: name, Method: "POST", Target: target}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		q.Headers = append(q.Headers, [2]string{k, v})
	}
	q.Headers = append(q.Headers, [2]string{"Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s%sSignedHeaders=%s%sSignature=%s",
		wireKey, wireScope, separator, signed, separator, wireSign(text))})
	return q
}

// streaming makes q a request whose body has not arrived.
func streaming(q recorded) recorded {
	q.Stream = true
	if strings.Contains(string(q.raw()), "chunked") {
		q.Body = "0\r\n\r\n"
	}
	return q
}

func withToken(q recorded) recorded {
	q.Token = wireToken
	q.Headers = append(q.Headers, [2]string{"x-amz-security-token", wireToken})
	return q
}

func producers() *recording {
	return &recording{Signer: "producers", AccessKey: wireKey, Secret: wireSecret, Region: "us-west-2", Service: "kinesisvideo", Time: wireTime,
		Requests: []recorded{
			producerC(), producerCControl(), embedded(), javaProducer(), javaProducerBare(), netty(), nettyPort(),
			webStreamer(), browser(), goProducer(), rust(), iosControl(), signaling(), signalingLateToken()}}
}

// producerC: explicit Host without the port of the URL, connection and
// transfer-encoding signed, content type and token sent but not signed.
func producerC() recorded {
	return streaming(withToken(wireRequest("producer-c PutMedia", ", ", "/putMedia", []string{
		"/putMedia", "",
		"connection:keep-alive",
		"host:" + wireHost,
		"transfer-encoding:chunked",
		"user-agent:AWS-SDK-KVS-CPP-CLIENT/3.4.2/1.5.3 GCC/12.2.0 Linux/6.1 x86_64 CPPSDK",
		"x-amz-date:" + wireTime,
		"x-amzn-fragment-acknowledgment-required:1",
		"x-amzn-fragment-timecode-type:ABSOLUTE",
		"x-amzn-producer-start-timestamp:1779006615.5",
		"x-amzn-stream-name:front door",
	}, EmptyPayload,
		"host: "+wireHost, "X-Amz-Date: "+wireTime, "connection: keep-alive", "content-type: application/json",
		"transfer-encoding: chunked", "Expect: 100-continue",
		"user-agent: AWS-SDK-KVS-CPP-CLIENT/3.4.2/1.5.3 GCC/12.2.0 Linux/6.1 x86_64 CPPSDK",
		"x-amzn-fragment-acknowledgment-required: 1", "x-amzn-fragment-timecode-type: ABSOLUTE",
		"x-amzn-producer-start-timestamp: 1779006615.5", "x-amzn-stream-name: front door")))
}

func producerCControl() recorded {
	body := `{"StreamName":"door"}`
	q := withToken(wireRequest("producer-c DescribeStream", ", ", "/describeStream", []string{
		"/describeStream", "", "host:kinesisvideo.us-west-2.amazonaws.com", "user-agent:AWS-SDK-KVS-CPP-CLIENT/3.4.2", "x-amz-date:" + wireTime,
	}, PayloadHash([]byte(body)),
		"host: kinesisvideo.us-west-2.amazonaws.com", "X-Amz-Date: "+wireTime, "content-type: application/json",
		"content-length: 21", "user-agent: AWS-SDK-KVS-CPP-CLIENT/3.4.2"))
	q.Body = body
	return q
}

// embedded: the token is signed, "//putMedia" as a data endpoint with a slash gives it.
func embedded() recorded {
	return streaming(withToken(wireRequest("embedded PutMedia", ", ", "//putMedia", []string{
		"//putMedia", "", "connection:keep-alive", "host:" + wireHost, "transfer-encoding:chunked", "user-agent:myagent",
		"x-amz-date:" + wireTime, "x-amz-security-token:" + wireToken,
		"x-amzn-fragment-acknowledgment-required:1", "x-amzn-fragment-timecode-type:ABSOLUTE",
		"x-amzn-producer-start-timestamp:1779006615.005", "x-amzn-stream-name:door",
	}, EmptyPayload,
		"host: "+wireHost, "accept: */*", "expect: 100-continue", "connection: keep-alive", "transfer-encoding: chunked",
		"user-agent: myagent", "x-amz-date: "+wireTime, "x-amzn-fragment-acknowledgment-required: 1",
		"x-amzn-fragment-timecode-type: ABSOLUTE", "x-amzn-producer-start-timestamp: 1779006615.005", "x-amzn-stream-name: door")))
}

var javaLines = []string{
	"/putMedia", "", "connection:keep-alive", "host:" + wireHost, "transfer-encoding:chunked", "user-agent:AWS-SDK-KVS-JAVA-CLIENT",
	"x-amz-date:" + wireTime, "x-amzn-fragment-timecode-type:RELATIVE",
	"x-amzn-producer-start-timestamp:1779006615.000", "x-amzn-stream-name:door",
}

var javaHeaders = []string{
	"Host: " + wireHost, "connection: keep-alive", "transfer-encoding: chunked", "user-agent: AWS-SDK-KVS-JAVA-CLIENT",
	"X-Amz-Date: " + wireTime, "x-amzn-fragment-timecode-type: RELATIVE",
	"x-amzn-producer-start-timestamp: 1779006615.000", "x-amzn-stream-name: door",
}

// javaProducer adds the payload header after signing.
func javaProducer() recorded {
	return streaming(wireRequest("Java producer PutMedia", ", ", "/putMedia", javaLines, UnsignedPayload,
		append(javaHeaders[:len(javaHeaders):len(javaHeaders)], "x-amz-content-sha256: UNSIGNED-PAYLOAD")...))
}

func javaProducerBare() recorded {
	return streaming(wireRequest("unsigned payload without header", ",", "/putMedia", javaLines, UnsignedPayload, javaHeaders...))
}

// netty is the PutMedia client of the AWS SDK for Java v1: an absolute target and a
// body that is not chunk-signed although the payload text says so.
func netty() recorded {
	return nettyTo("Java SDK PutMedia", "https://"+wireHost+"/putMedia", wireHost)
}

func nettyPort() recorded {
	return nettyTo("Java SDK PutMedia, default port in the target", "https://"+wireHost+":443/putMedia", wireHost)
}

func nettyTo(name, target, host string) recorded {
	return streaming(wireRequest(name, ", ", target, []string{
		"/putMedia", "", "host:" + host, "transfer-encoding:chunked", "x-amz-content-sha256:" + StreamingPayload, "x-amz-date:" + wireTime,
		"x-amzn-fragment-timecode-type:RELATIVE", "x-amzn-producer-start-timestamp:2026-05-17T08:30:15Z", "x-amzn-stream-name:door",
	}, StreamingPayload,
		"Host: "+host, "transfer-encoding: chunked", "x-amz-content-sha256: "+StreamingPayload, "X-Amz-Date: "+wireTime,
		"x-amzn-fragment-timecode-type: RELATIVE", "x-amzn-producer-start-timestamp: 2026-05-17T08:30:15Z", "x-amzn-stream-name: door"))
}

// webStreamer signs every header it has.
func webStreamer() recorded {
	return streaming(wireRequest("web streamer PutMedia", ", ", "/putMedia", []string{
		"/putMedia", "", "host:" + wireHost, "x-amz-content-sha256:UNSIGNED-PAYLOAD", "x-amz-date:" + wireTime,
		"x-amzn-fragment-timecode-type:RELATIVE", "x-amzn-stream-name:door",
	}, UnsignedPayload,
		"Host: "+wireHost, "x-amz-content-sha256: UNSIGNED-PAYLOAD", "x-amz-date: "+wireTime, "transfer-encoding: chunked",
		"x-amzn-fragment-timecode-type: RELATIVE", "x-amzn-stream-name: door"))
}

// browser signs before the body is there.
func browser() recorded {
	q := wireRequest("browser PutMedia", ", ", "/putMedia", []string{
		"/putMedia", "", "accept:*/*", "host:" + wireHost, "x-amz-date:" + wireTime, "x-amzn-stream-name:door",
	}, EmptyPayload,
		"Host: "+wireHost, "accept: */*", "x-amz-date: "+wireTime, "x-amzn-stream-name: door", "Content-Length: 5")
	q.Body = "media"
	return streaming(q)
}

// goProducer leaves a parameter of presigning in a URL that it signs in the header.
func goProducer() recorded {
	return streaming(wireRequest("Go producer PutMedia", ", ", "/putMedia?X-Amz-Expires=600", []string{
		"/putMedia", "X-Amz-Expires=600", "host:" + wireHost, "x-amz-date:" + wireTime, "x-amzn-stream-name:door",
	}, EmptyPayload,
		"Host: "+wireHost, "X-Amz-Date: "+wireTime, "X-Amzn-Stream-Name: door", "Transfer-Encoding: chunked"))
}

// rust names the hash of no bytes in the header.
func rust() recorded {
	return streaming(wireRequest("Rust PutMedia", ", ", "/putMedia", []string{
		"/putMedia", "", "host:" + wireHost, "x-amz-content-sha256:" + EmptyPayload, "x-amz-date:" + wireTime, "x-amzn-stream-name:door",
	}, EmptyPayload,
		"host: "+wireHost, "x-amz-date: "+wireTime, "x-amz-content-sha256: "+EmptyPayload, "x-amzn-stream-name: door", "transfer-encoding: chunked"))
}

func iosControl() recorded {
	body := `{"StreamName" : "door"}`
	q := withToken(wireRequest("iOS and C++ control calls", ", ", "/listFragments", []string{
		"/listFragments", "", "content-length:23", "content-type:application/x-amz-json-1.0", "host:" + wireHost,
		"user-agent:aws-sdk-iOS/2.10 en_US", "x-amz-date:" + wireTime, "x-amz-security-token:" + wireToken,
	}, PayloadHash([]byte(body)),
		"Host: "+wireHost, "Content-Length: 23", "Content-Type: application/x-amz-json-1.0", "User-Agent: aws-sdk-iOS/2.10   en_US",
		"X-Amz-Date: "+wireTime))
	q.Body = body
	return q
}

const signalingQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-ChannelARN=arn%3Aaws%3Akinesisvideo%3Aus-west-2%3A111122223333%3Achannel%2Fc%2F1" +
	"&X-Amz-Credential=AKIDPRODUCEREXAMPLE0%2F20260517%2Fus-west-2%2Fkinesisvideo%2Faws4_request&X-Amz-Date=" + wireTime + "&X-Amz-Expires=604800"

func presignedURL(name, query, signed string) recorded {
	text := "GET\n/\n" + signed + "\nhost:" + wireHost + "\n\nhost\n" + EmptyPayload
	return recorded{Name: name, Method: "GET", Target: "/?" + query + "&X-Amz-Signature=" + wireSign(text), Headers: [][2]string{{"Host", wireHost}}, Token: wireToken}
}

// signaling is the C client's websocket URL: the token is inside what is signed.
func signaling() recorded {
	q := signalingQuery + "&X-Amz-Security-Token=FwoGZXIvYXdzEBYaDExample%2BToken%2FWith%3DSigns%3D%3D&X-Amz-SignedHeaders=host"
	return presignedURL("signaling URL", q, q)
}

// signalingLateToken adds the token to the URL after signing.
func signalingLateToken() recorded {
	q := signalingQuery + "&X-Amz-SignedHeaders=host"
	late := presignedURL("signaling URL, token added later", q, q)
	late.Late = "&X-Amz-Security-Token=FwoGZXIvYXdzEBYaDExample%2BToken%2FWith%3DSigns%3D%3D"
	late.Target += late.Late
	return late
}
