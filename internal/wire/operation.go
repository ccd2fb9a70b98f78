// Package wire holds the shapes of the wire: inputs, outputs and exceptions of the 43
// modelled operations and PutMedia, with their limits.
//
// The doors of the server, package client and the public SDK packages are the only
// ones that see these shapes. They and their checks are generated from the facts in
// the folder model ("make gen"); this package adds what the facts do not say: which
// JSON is accepted ([Decode]) and how JSON is written ([Encode]).
//
// Accepted: any JSON number where the model has an integer or a timestamp (100, 1e2,
// 100.0), ISO-8601 text for timestamps, unknown members. Written: members in
// alphabetical order, null for what is absent from an output, timestamps as the Java
// service writes doubles (wire-media section 9.4), never an escaped slash. Scalars
// are pointers, nil when absent; lists and maps are absent when nil.
//
// All functions may be called from any number of goroutines; shapes are plain values
// without locks.
package wire

//go:generate go run ./gen
//go:generate go run ./gen -coverage ../../docs/ref/coverage.md

// Service is one of the five service models.
type Service uint8

// The services. All of them sign with the service name "kinesisvideo".
const (
	Video     Service = iota // control plane
	Media                    // PutMedia, GetMedia
	Archived                 // fragments by time or number, clips, images, session URLs
	Signaling                // ICE servers, Alexa offers
	Storage                  // WebRTC ingestion
)

// String returns the name of the service's model, as AWS CLI commands spell it.
func (s Service) String() string {
	return [...]string{"kinesisvideo", "kinesis-video-media", "kinesis-video-archived-media",
		"kinesis-video-signaling", "kinesis-video-webrtc-storage"}[s]
}

// Exception is an error that the model gives an operation.
type Exception struct {
	Name       string // ends in "Exception"
	Status     int    // HTTP status
	MessageKey string // name of the body's member: "Message" or, in newer models, "message"
}

// Operation is one call: how it is reached, what goes in and what comes out.
type Operation struct {
	Name         string
	Service      Service
	Method, Path string
	// Exceptions are in alphabetical order.
	Exceptions []Exception
	// Input makes an empty input; nil for PutMedia, whose body is not JSON.
	Input func() Input
	// Output makes an empty output; nil when the answer is a stream.
	Output func() Shape
	// PayloadOutput says that the answer is a stream of bytes, not JSON.
	PayloadOutput bool
	// Served says that this server implements the operation (served.txt). The others
	// answer 501.
	Served bool
}

// Exception returns the exception of the given name if the operation has it.
func (o *Operation) Exception(name string) (Exception, bool) {
	for _, e := range o.Exceptions {
		if e.Name == name {
			return e, true
		}
	}
	return Exception{}, false
}

// route is what a request line says.
type route struct{ method, path string }

var byPath = func() map[route]*Operation {
	m := make(map[route]*Operation, len(Operations))
	for i := range Operations {
		op := &Operations[i]
		m[route{op.Method, op.Path}] = op
	}
	return m
}()

// ByPath returns the operation that a request line names, nil if there is none. Paths
// are compared exactly: escapes are not undone and case matters, because
// "/TagResource" and "/tagStream" differ on the real service too.
func ByPath(method, escapedPath string) *Operation {
	return byPath[route{method, escapedPath}]
}

// ByName returns the operation of the given name, nil if there is none.
func ByName(name string) *Operation {
	for i := range Operations {
		if Operations[i].Name == name {
			return &Operations[i]
		}
	}
	return nil
}
