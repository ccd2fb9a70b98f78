package mkv

// AppendEBML appends an EBML header. Zero fields become those of the producer
// SDK's header (wire-media section 3.2): 1, 1, 4, 8, "matroska", 2, 2.
func AppendEBML(b []byte, h Header) []byte {
	orElse := func(v, fallback uint64) uint64 {
		if v == 0 {
			return fallback
		}
		return v
	}
	if h.DocType == "" {
		h.DocType = "matroska"
	}
	var room [64]byte
	data := appendUint(room[:0], idEBMLVersion, orElse(h.Version, 1))
	data = appendUint(data, idEBMLReadVersion, orElse(h.ReadVersion, 1))
	data = appendUint(data, idMaxIDLength, orElse(h.MaxIDLength, maxIDLength))
	data = appendUint(data, idMaxSizeLength, orElse(h.MaxSizeLength, maxSizeLength))
	data = appendText(data, idDocType, h.DocType)
	data = appendUint(data, idDocTypeVersion, orElse(h.DocTypeVersion, 2))
	data = appendUint(data, idDocTypeRead, orElse(h.DocTypeReadVersion, 2))
	return AppendElement(b, IDEBML, data)
}

// AppendSegmentUnknown appends the head of a Segment of unknown size in its
// 8-byte form, as the service writes it (wire-media section 5.4).
func AppendSegmentUnknown(b []byte) []byte { return appendUnknown(b, IDSegment) }

func appendUnknown(b []byte, id uint32) []byte {
	return append(appendID(b, id), 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
}

// AppendInfo appends an Info element. A TimecodeScale of 0 becomes the
// default, one millisecond; other zero fields are left out.
func AppendInfo(b []byte, i *Info) []byte {
	b, start := appendMaster(b, IDInfo)
	if len(i.SegmentUID) > 0 {
		b = AppendElement(b, idSegmentUID, i.SegmentUID)
	}
	scale := i.TimecodeScale
	if scale == 0 {
		scale = defaultTimecodeScale
	}
	b = appendUint(b, idTimecodeScale, scale)
	if i.Duration != 0 {
		b = appendFloat(b, idDuration, i.Duration)
	}
	if i.Title != "" {
		b = appendText(b, idTitle, i.Title)
	}
	b = appendText(b, idMuxingApp, i.MuxingApp)
	b = appendText(b, idWritingApp, i.WritingApp)
	return closeMaster(b, start)
}

// AppendTracks appends a Tracks element; zero fields of a track are left out,
// but for its number, UID and type.
func AppendTracks(b []byte, tracks []Track) []byte {
	b, start := appendMaster(b, IDTracks)
	for i := range tracks {
		b = appendTrack(b, &tracks[i])
	}
	return closeMaster(b, start)
}

func appendTrack(b []byte, t *Track) []byte {
	b, start := appendMaster(b, idTrackEntry)
	b = appendUint(b, idTrackNumber, t.Number)
	b = appendUint(b, idTrackUID, t.UID)
	b = appendUint(b, idTrackType, uint64(t.Type))
	if t.Name != "" {
		b = appendText(b, idTrackName, t.Name)
	}
	if t.Language != "" {
		b = appendText(b, idLanguage, t.Language)
	}
	b = appendText(b, idCodecID, t.CodecID)
	if t.DefaultDuration != 0 {
		b = appendUint(b, idDefaultDuration, t.DefaultDuration)
	}
	if t.Video != nil {
		b = appendVideo(b, t.Video)
	}
	if t.Audio != nil {
		b = appendAudio(b, t.Audio)
	}
	if t.CodecPrivate != nil {
		b = AppendElement(b, idCodecPrivate, t.CodecPrivate)
	}
	return closeMaster(b, start)
}

func appendVideo(b []byte, v *Video) []byte {
	b, start := appendMaster(b, idVideo)
	b = appendUint(b, idPixelWidth, v.PixelWidth)
	b = appendUint(b, idPixelHeight, v.PixelHeight)
	return closeMaster(b, start)
}

func appendAudio(b []byte, a *Audio) []byte {
	b, start := appendMaster(b, idAudio)
	b = appendFloat(b, idSamplingFreq, a.SamplingFrequency)
	b = appendUint(b, idChannels, a.Channels)
	if a.BitDepth != 0 {
		b = appendUint(b, idBitDepth, a.BitDepth)
	}
	return closeMaster(b, start)
}

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
