// Package sdp looks into session descriptions (RFC 8866) for the one thing that an operator
// wants to know when a call fails: whether offer and answer had a codec in common.
//
// Descriptions come from strangers. What is read of one is bounded, nothing is changed, and
// what cannot be read is an error that nobody needs to act upon. All functions may be
// called from many goroutines.
package sdp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	pion "github.com/pion/sdp/v3"
)

// Bounds of what is looked at.
const (
	maxText    = 64 << 10 // bytes of a description
	maxMedia   = 16       // of a description; those behind are not looked at
	maxFormats = 64       // of a medium
	maxName    = 64       // bytes of a codec's name
)

// Medium is one m-line of a description.
type Medium struct {
	Kind    string   // audio, video, application
	Refused bool     // its port is 0
	Codecs  []string // as in "VP8/90000", "opus/48000/2", "H264/90000 42e01f", each once
}

// Text returns the description in the payload of an offer or an answer, which is base64 of
// a JSON object with the member sdp.
func Text(payload string) (string, error) {
	if base64.StdEncoding.DecodedLen(len(payload)) > 2*maxText {
		return "", errTooLong
	}
	decoded, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		return "", err
	}
	var in struct {
		SDP string `json:"sdp"`
	}
	if err := json.Unmarshal(decoded, &in); err != nil {
		return "", err
	}
	return in.SDP, nil
}

var errTooLong = errors.New("the description is too long to be looked at")

// Codecs returns the media of a description with their codecs, without those that only
// carry or repair others.
func Codecs(text string) ([]Medium, error) {
	if len(text) > maxText {
		return nil, errTooLong
	}
	var d pion.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("reading a description: %w", err)
	}
	media := make([]Medium, 0, min(len(d.MediaDescriptions), maxMedia))
	for _, m := range d.MediaDescriptions[:min(len(d.MediaDescriptions), maxMedia)] {
		media = append(media, medium(m))
	}
	return media, nil
}

func medium(d *pion.MediaDescription) Medium {
	m := Medium{Kind: short(d.MediaName.Media), Refused: d.MediaName.Port.Value == 0 && !bundled(d)}
	maps, profiles := formats(d)
	for _, f := range d.MediaName.Formats[:min(len(d.MediaName.Formats), maxFormats)] {
		name := maps[f]
		if name == "" {
			name = static[f]
		}
		if name == "" && m.Kind == "application" {
			name = f
		}
		if p := profiles[f]; p != "" && strings.HasPrefix(strings.ToUpper(name), "H264/") {
			name += " " + p
		}
		if name = short(name); name != "" && !carrier(name) && !slices.Contains(m.Codecs, name) {
			m.Codecs = append(m.Codecs, name)
		}
	}
	return m
}

// bundled reports whether a port of 0 only says that the medium shares another's transport
// (RFC 9143, section 7).
func bundled(d *pion.MediaDescription) bool {
	_, only := d.Attribute("bundle-only")
	return only
}

// formats returns the names of the medium's formats and the profiles of H.264.
func formats(d *pion.MediaDescription) (names, profiles map[string]string) {
	names, profiles = map[string]string{}, map[string]string{}
	for _, a := range d.Attributes {
		format, rest, _ := strings.Cut(a.Value, " ")
		switch {
		case len(names) > 2*maxFormats, len(profiles) > 2*maxFormats:
			return names, profiles
		case a.Key == "rtpmap":
			names[format] = strings.TrimSpace(rest)
		case a.Key == "fmtp":
			profiles[format] = profile(rest)
		}
	}
	return names, profiles
}

func profile(parameters string) string {
	_, rest, ok := strings.Cut(strings.ToLower(parameters), "profile-level-id=")
	if !ok || len(rest) < 6 {
		return ""
	}
	return rest[:6]
}

// static are formats that need no name (RFC 3551, section 6).
var static = map[string]string{"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}

// carrier reports whether a codec only repeats, repairs or accompanies others.
func carrier(name string) bool {
	name, _, _ = strings.Cut(strings.ToLower(name), "/")
	return slices.Contains([]string{"rtx", "red", "ulpfec", "flexfec-03", "flexfec", "telephone-event", "cn"}, name)
}

// short cuts a name, and takes out what would disturb a log.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return strings.Clone(s[:min(len(s), maxName)])
}

// Gap is a medium that cannot flow.
type Gap struct {
	Kind     string
	Refused  bool // by the side that answered
	Offered  []string
	Answered []string
}

// Gaps returns the media of an offer for which the answer has no codec, or a refusal. Media
// belong together by their order (RFC 3264, section 6); one that the answer does not have
// was refused.
func Gaps(offer, answer []Medium) (gaps []Gap) {
	for i, o := range offer {
		if o.Refused {
			continue
		}
		a := Medium{Refused: true}
		if i < len(answer) {
			a = answer[i]
		}
		if a.Refused || !common(o.Codecs, a.Codecs) {
			gaps = append(gaps, Gap{Kind: o.Kind, Refused: a.Refused, Offered: o.Codecs, Answered: a.Codecs})
		}
	}
	return gaps
}

// common reports whether two sides have a codec in common, whatever its profile.
func common(a, b []string) bool {
	for _, one := range a {
		for _, other := range b {
			if plain(one) == plain(other) {
				return true
			}
		}
	}
	return false
}

func plain(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), " ")
	return strings.TrimSuffix(name, "/1") // one channel is what nothing means
}
