package mkv

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
