package ingest

import (
	"strings"

	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// endOfFragment is the tag that closes and persists a fragment at once (wire-media
// section 3.3).
const endOfFragment = "AWS_KINESISVIDEO_END_OF_FRAGMENT"

// imagePrefix is the tag that says where the images of a fragment are put.
const imagePrefix = "AWS_KINESISVIDEO_IMAGE_PREFIX"

// eventTags are the names beginning with AWS that a producer may send, and that do
// not count toward the metadata limit (decisions sheet, row 4).
var eventTags = map[string]bool{
	endOfFragment:                       true,
	"AWS_KINESISVIDEO_IMAGE_GENERATION": true,
	imagePrefix:                         true,
	"AWS_KINESISVIDEO_NOTIFICATION":     true,
}

// metadata counts the metadata items of one fragment and keeps the first breach.
type metadata struct {
	items int
	fault *Fault
}

// add counts the items of one Tags element. Tags about a track are the container's
// own, not fragment metadata.
func (m *metadata) add(it *mkv.Item, l *quota.View) {
	for _, t := range it.Tags {
		if t.Targets != nil && len(t.Targets.TrackUIDs) > 0 {
			continue
		}
		for _, s := range t.Simple {
			m.item(s, l)
		}
	}
	if m.fault != nil {
		m.fault.place(it.Offset)
	}
}

func (m *metadata) item(s mkv.SimpleTag, l *quota.View) {
	if m.fault != nil {
		return
	}
	size, name, value := len(s.Value)+len(s.Binary), int(l.Bytes(quota.FragmentTagName)), int(l.Bytes(quota.FragmentTagValue))
	if eventTags[s.Name] {
		if most := int(l.Bytes(quota.ImagePrefix)); s.Name == imagePrefix && most > 0 && size > most {
			m.fault = fault(longPrefix, "the value of %s has %d bytes, %d are allowed", imagePrefix, size, most)
		}
		return
	}
	m.items++
	switch {
	case strings.HasPrefix(s.Name, "AWS"):
		m.fault = fault(reserved, "metadata name %.64q begins with AWS, which is reserved", s.Name)
	case name > 0 && len(s.Name) > name:
		m.fault = fault(longName, "a metadata name has %d bytes, %d are allowed", len(s.Name), name)
	case value > 0 && size > value:
		m.fault = fault(longValue, "the value of metadata %.64q has %d bytes, %d are allowed", s.Name, size, value)
	default:
		m.count(l)
	}
}

// join adds what another place counted for the same fragment.
func (m *metadata) join(o metadata, l *quota.View) {
	m.items += o.items
	if m.fault == nil {
		m.fault = o.fault
	}
	if m.fault == nil {
		m.count(l)
	}
}

func (m *metadata) count(l *quota.View) {
	if most := l.Int(quota.FragmentTags); most > 0 && m.items > most {
		m.fault = fault(manyItems, "a fragment has more than %d metadata items", most)
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
