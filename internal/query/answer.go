package query

import (
	"bytes"
	"encoding/xml"
	"time"
)

// ContentType is that of answers.
const ContentType = "text/xml"

// List is a list in an answer: it is there when it is empty, too, because clients look for
// it. In a structure it stands under its own name; *List may be nil and is left out then.
type List[T any] struct {
	Member []T `xml:"member"`
}

// ListOf makes a list of what each of the values is in an answer.
func ListOf[T, V any](values []V, show func(V) T) List[T] {
	l := List[T]{}
	for _, v := range values {
		l.Member = append(l.Member, show(v))
	}
	return l
}

// Time is a time in an answer, to the second.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Answer writes the answer to a call that did what it was to do. result is a structure for
// encoding/xml, or nil for none.
func Answer(namespace, action, requestID string, result any) ([]byte, error) {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	root := element(action + "Response")
	root.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}
	if err := e.EncodeToken(root); err != nil {
		return nil, err
	}
	if result != nil {
		if err := e.EncodeElement(result, element(action+"Result")); err != nil {
			return nil, err
		}
	}
	if err := e.EncodeElement(metadata{requestID}, element("ResponseMetadata")); err != nil {
		return nil, err
	}
	if err := e.EncodeToken(root.End()); err != nil {
		return nil, err
	}
	err := e.Close() // writes what is left
	return b.Bytes(), err
}

type metadata struct {
	RequestID string `xml:"RequestId"`
}

func element(name string) xml.StartElement { return xml.StartElement{Name: xml.Name{Local: name}} }

// Refusal writes the answer to a call that failed.
func Refusal(namespace, requestID string, f Fault) []byte {
	answer := struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Namespace string   `xml:"xmlns,attr"`
		Type      string   `xml:"Error>Type"`
		Code      string   `xml:"Error>Code"`
		Message   string   `xml:"Error>Message"`
		RequestID string   `xml:"RequestId"`
	}{Namespace: namespace, Type: "Sender", Code: f.Code, Message: f.Message, RequestID: requestID}
	if f.Status >= 500 {
		answer.Type = "Receiver"
	}
	b, _ := xml.Marshal(answer) // texts only: never fails
	return b
}
