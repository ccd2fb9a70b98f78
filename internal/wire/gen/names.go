package main

import (
	"strings"
	"unicode"

	"github.com/millrace/millrace/internal/wire/model"
)

// initialisms keep their capitals in Go names.
var initialisms = map[string]string{
	"DASH": "DASH", "HLS": "HLS", "HTTPS": "HTTPS", "JPEG": "JPEG", "MP4": "MP4", "MPEG": "MPEG",
	"PNG": "PNG", "RTSP": "RTSP", "TS": "TS", "TURN": "TURN", "URI": "URI", "URL": "URL",
	"WEBRTC": "WebRTC", "WSS": "WSS",
}

// goName turns a value of an enumeration into the end of a constant's name:
// "PUT_MEDIA" into "PutMedia".
func goName(value string) string {
	if value != strings.ToUpper(value) {
		return value
	}
	var b strings.Builder
	for word := range strings.SplitSeq(value, "_") {
		if known, ok := initialisms[word]; ok {
			b.WriteString(known)
		} else {
			b.WriteString(word[:1] + strings.ToLower(word[1:]))
		}
	}
	return b.String()
}

// exported is the field's name for a member: the newer models begin members with a
// small letter.
func exported(member string) string {
	return string(unicode.ToUpper(rune(member[0]))) + member[1:]
}

func goType(s *model.Shape) string {
	switch s.Kind {
	case model.Text, model.Enum:
		return "*string"
	case model.Integer, model.Long:
		return "*int64"
	case model.Boolean:
		return "*bool"
	case model.Timestamp:
		return "*kvs.Millis"
	case model.Map:
		return "map[string]string"
	case model.List:
		if s.Item.Kind == model.Structure {
			return "[]" + s.Item.Name
		}
		return "[]string"
	}
	return "*" + s.Name
}

// comment says beside a field what its rule does not show at a glance.
func comment(m model.Member) string {
	var words []string
	if m.Required {
		words = append(words, "required")
	}
	if m.Shape.Kind == model.Enum {
		words = append(words, "one of the "+m.Shape.Name+" values")
	}
	if m.Shape.Sensitive {
		words = append(words, "sensitive")
	}
	if len(words) == 0 {
		return ""
	}
	return "// " + strings.Join(words, "; ")
}
