package mkv

// AppendTags appends a Tags element. Every size in it has 4 bytes, and a name
// stands before its value, as in the service's own tags (wire-media section
// 5.4). A SimpleTag without Binary gets a TagString, which may be empty.
func AppendTags(b []byte, tags []Tag) []byte {
	b, start := appendMaster(b, IDTags)
	for i := range tags {
		b = appendTag(b, &tags[i])
	}
	return closeMaster(b, start)
}

func appendTag(b []byte, t *Tag) []byte {
	b, start := appendMaster(b, idTag)
	if t.Targets != nil {
		b = appendTargets(b, t.Targets)
	}
	for i := range t.Simple {
		b = appendSimpleTag(b, &t.Simple[i])
	}
	return closeMaster(b, start)
}

func appendTargets(b []byte, t *Targets) []byte {
	b, start := appendMaster(b, idTargets)
	if t.TypeValue != 0 {
		b = appendUint(b, idTargetTypeValue, t.TypeValue)
	}
	if t.Type != "" {
		b = appendText(b, idTargetType, t.Type)
	}
	for _, uid := range t.TrackUIDs {
		b = appendUint(b, idTagTrackUID, uid)
	}
	return closeMaster(b, start)
}

func appendSimpleTag(b []byte, t *SimpleTag) []byte {
	b, start := appendMaster(b, idSimpleTag)
	b = appendSize(appendID(b, idTagName), uint64(len(t.Name)), masterSize)
	b = append(b, t.Name...)
	if t.Language != "" {
		b = appendText(b, idTagLanguage, t.Language)
	}
	if t.Binary != nil {
		b = appendSize(appendID(b, idTagBinary), uint64(len(t.Binary)), masterSize)
		b = append(b, t.Binary...)
	} else {
		b = appendSize(appendID(b, idTagString), uint64(len(t.Value)), masterSize)
		b = append(b, t.Value...)
	}
	for i := range t.Nested {
		b = appendSimpleTag(b, &t.Nested[i])
	}
	return closeMaster(b, start)
}
