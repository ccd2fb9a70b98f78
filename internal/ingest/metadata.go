package ingest

import (
	"strings"

	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// endOfFragment is the tag that closes and persists a fragment at once (wire-media
// section 3.3).
const endOfFragment = "AWS_KINESISVIDEO_END_OF_FRAGMENT"

// eventTags are the names beginning with AWS that a producer may send, and that do
// not count toward the metadata limit (decisions sheet, row 4).
var eventTags = map[string]bool{
	endOfFragment:                       true,
	"AWS_KINESISVIDEO_IMAGE_GENERATION": true,
	"AWS_KINESISVIDEO_IMAGE_PREFIX":     true,
	"AWS_KINESISVIDEO_NOTIFICATION":     true,
}

// metadata counts the metadata items of one fragment and keeps the first breach.
type metadata struct {
	items int
	fault *Fault
}

// add counts the items of one Tags element. Tags about a track are the container's
// own, not fragment metadata.
func (m *metadata) add(it *mkv.Item, l *quota.Limits) {
	for _, t := range it.Tags {
		if t.Targets != nil && len(t.Targets.TrackUIDs) > 0 {
			continue
		}
		for _, s := range t.Simple {
			m.item(s, l)
		}
	}
	if m.fault != nil {
		m.fault.at(it.Offset)
	}
}

func (m *metadata) item(s mkv.SimpleTag, l *quota.Limits) {
	if eventTags[s.Name] || m.fault != nil {
		return
	}
	m.items++
	switch {
	case strings.HasPrefix(s.Name, "AWS"):
		m.fault = fault(reserved, "metadata name %.64q begins with AWS, which is reserved", s.Name)
	case len(s.Name) > l.FragmentTagName:
		m.fault = fault(longName, "a metadata name has %d bytes, %d are allowed", len(s.Name), l.FragmentTagName)
	case len(s.Value)+len(s.Binary) > l.FragmentTagValue:
		m.fault = fault(longValue, "the value of metadata %.64q has %d bytes, %d are allowed", s.Name, len(s.Value)+len(s.Binary), l.FragmentTagValue)
	case m.items > l.FragmentTags:
		m.fault = fault(manyItems, "a fragment has more than %d metadata items", l.FragmentTags)
	}
}

// join adds what another place counted for the same fragment.
func (m *metadata) join(o metadata, l *quota.Limits) {
	m.items += o.items
	if m.fault == nil {
		m.fault = o.fault
	}
	if m.fault == nil && m.items > l.FragmentTags {
		m.fault = fault(manyItems, "a fragment has more than %d metadata items", l.FragmentTags)
	}
}

// closes reports whether the tags end the fragment before them.
func closes(tags []mkv.Tag) bool {
	for _, t := range tags {
		for _, s := range t.Simple {
			if s.Name == endOfFragment {
				return true
			}
		}
	}
	return false
}
