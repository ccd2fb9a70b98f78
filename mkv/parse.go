package mkv

// Limits of parsed headers, so that memory stays near the size of the input:
// an empty element of 3 bytes would else become a struct of a hundred.
const (
	maxTracks   = 256
	maxTags     = 4096 // Tag, SimpleTag and TagTrackUID elements in one Tags
	maxTagDepth = 16   // SimpleTags inside each other
)

// ParseInfo reads a whole Info element, such as an Item's Raw. Offsets in its
// errors count from the element's first byte.
func ParseInfo(b []byte) (*Info, error) {
	e, err := parseWhole(b, IDInfo)
	if err != nil {
		return nil, err
	}
	return parseInfo(e)
}

// ParseTracks reads a whole Tracks element, as ParseInfo does.
func ParseTracks(b []byte) ([]Track, error) {
	e, err := parseWhole(b, IDTracks)
	if err != nil {
		return nil, err
	}
	return parseTracks(e)
}

// ParseTags reads a whole Tags element, as ParseInfo does.
func ParseTags(b []byte) ([]Tag, error) {
	e, err := parseWhole(b, IDTags)
	if err != nil {
		return nil, err
	}
	return parseTags(e)
}

// parseWhole reads the element that b must be, no more and no less.
func parseWhole(b []byte, id uint32) (element, error) {
	if len(b) == 0 {
		return element{}, syntaxError(0, "no bytes where %s should be", elementName(id))
	}
	e, rest, err := parseElement(b, 0)
	switch {
	case err != nil:
		return e, err
	case e.id != id:
		return e, syntaxError(0, "%s where %s should be", elementName(e.id), elementName(id))
	case len(rest) > 0:
		return e, syntaxError(int64(len(b)-len(rest)), "%d bytes after %s", len(rest), elementName(id))
	}
	return e, nil
}

func parseHeader(e element) (*Header, error) {
	h := &Header{Version: 1, ReadVersion: 1, MaxIDLength: maxIDLength, MaxSizeLength: maxSizeLength,
		DocTypeVersion: 1, DocTypeReadVersion: 1}
	err := e.children(func(c element) error {
		switch c.id {
		case idEBMLVersion:
			return c.uint(&h.Version)
		case idEBMLReadVersion:
			return c.uint(&h.ReadVersion)
		case idMaxIDLength:
			return c.uint(&h.MaxIDLength)
		case idMaxSizeLength:
			return c.uint(&h.MaxSizeLength)
		case idDocType:
			return c.text(&h.DocType)
		case idDocTypeVersion:
			return c.uint(&h.DocTypeVersion)
		case idDocTypeRead:
			return c.uint(&h.DocTypeReadVersion)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, checkHeader(h, e.offset)
}

// checkHeader refuses documents that this package would misread.
func checkHeader(h *Header, offset int64) error {
	switch {
	case h.DocType != "matroska" && h.DocType != "webm":
		return syntaxError(offset, "DocType is %.32q, must be matroska or webm", h.DocType)
	case h.ReadVersion != 1:
		return syntaxError(offset, "EBMLReadVersion is %d, must be 1", h.ReadVersion)
	case h.MaxIDLength > maxIDLength:
		return syntaxError(offset, "EBMLMaxIDLength is %d, must be at most %d", h.MaxIDLength, maxIDLength)
	case h.MaxSizeLength > maxSizeLength:
		return syntaxError(offset, "EBMLMaxSizeLength is %d, must be at most %d", h.MaxSizeLength, maxSizeLength)
	}
	return nil
}

// defaultTimecodeScale is a millisecond (RFC 9559 section 5.1.2.9).
const defaultTimecodeScale = 1_000_000

func parseInfo(e element) (*Info, error) {
	i := &Info{TimecodeScale: defaultTimecodeScale}
	err := e.children(func(c element) error {
		switch c.id {
		case idTimecodeScale:
			return c.uint(&i.TimecodeScale)
		case idDuration:
			return c.float(&i.Duration)
		case idSegmentUID:
			return c.bytes(&i.SegmentUID)
		case idTitle:
			return c.text(&i.Title)
		case idMuxingApp:
			return c.text(&i.MuxingApp)
		case idWritingApp:
			return c.text(&i.WritingApp)
		}
		return nil
	})
	if err == nil && i.TimecodeScale == 0 {
		err = syntaxError(e.offset, "TimecodeScale is 0, must be 1 or more nanoseconds")
	}
	if err != nil {
		return nil, err
	}
	return i, nil
}

func parseTracks(e element) ([]Track, error) {
	var tracks []Track
	err := e.children(func(c element) error {
		if c.id != idTrackEntry {
			return nil
		}
		if len(tracks) == maxTracks {
			return syntaxError(c.offset, "more than %d tracks", maxTracks)
		}
		t, err := parseTrack(c)
		tracks = append(tracks, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tracks, nil
}

func parseTrack(e element) (t Track, err error) {
	var kind uint64
	err = e.children(func(c element) error {
		switch c.id {
		case idTrackNumber:
			return c.uint(&t.Number)
		case idTrackUID:
			return c.uint(&t.UID)
		case idTrackType:
			return c.uint(&kind)
		case idTrackName:
			return c.text(&t.Name)
		case idLanguage:
			return c.text(&t.Language)
		case idCodecID:
			return c.text(&t.CodecID)
		case idCodecPrivate:
			return c.bytes(&t.CodecPrivate)
		case idDefaultDuration:
			return c.uint(&t.DefaultDuration)
		case idVideo:
			t.Video = &Video{}
			return parseVideo(c, t.Video)
		case idAudio:
			t.Audio = &Audio{SamplingFrequency: 8000, Channels: 1}
			return parseAudio(c, t.Audio)
		}
		return nil
	})
	switch {
	case err != nil:
		return t, err
	case t.Number == 0:
		return t, syntaxError(e.offset, "a TrackEntry needs a TrackNumber of 1 or more")
	case kind > 255:
		return t, syntaxError(e.offset, "TrackType is %d, must be at most 255", kind)
	}
	t.Type = TrackType(kind)
	return t, nil
}

func parseVideo(e element, v *Video) error {
	return e.children(func(c element) error {
		switch c.id {
		case idPixelWidth:
			return c.uint(&v.PixelWidth)
		case idPixelHeight:
			return c.uint(&v.PixelHeight)
		}
		return nil
	})
}

func parseAudio(e element, a *Audio) error {
	return e.children(func(c element) error {
		switch c.id {
		case idSamplingFreq:
			return c.float(&a.SamplingFrequency)
		case idChannels:
			return c.uint(&a.Channels)
		case idBitDepth:
			return c.uint(&a.BitDepth)
		}
		return nil
	})
}
