package mkv

// tagParser counts what it has made of one Tags element.
type tagParser struct{ made int }

func parseTags(e element) ([]Tag, error) {
	var p tagParser
	var tags []Tag
	err := e.children(func(c element) error {
		if c.id != idTag {
			return nil
		}
		if err := p.count(c); err != nil {
			return err
		}
		t, err := p.tag(c)
		tags = append(tags, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tags, nil
}

func (p *tagParser) count(e element) error {
	if p.made == maxTags {
		return syntaxError(e.offset, "more than %d tags in one Tags element", maxTags)
	}
	p.made++
	return nil
}

func (p *tagParser) tag(e element) (t Tag, err error) {
	err = e.children(func(c element) error {
		switch c.id {
		case idTargets:
			t.Targets = &Targets{}
			return p.targets(c, t.Targets)
		case idSimpleTag:
			return p.simple(c, &t.Simple, 1)
		}
		return nil
	})
	return t, err
}

// defaultTargetType means a whole movie (RFC 9559 section 5.1.8.1.1.1).
const defaultTargetType = 50

func (p *tagParser) targets(e element, t *Targets) error {
	err := e.children(func(c element) error {
		switch c.id {
		case idTargetTypeValue:
			return c.uint(&t.TypeValue)
		case idTargetType:
			return c.text(&t.Type)
		case idTagTrackUID:
			if err := p.count(c); err != nil {
				return err
			}
			t.TrackUIDs = append(t.TrackUIDs, 0)
			return c.uint(&t.TrackUIDs[len(t.TrackUIDs)-1])
		}
		return nil
	})
	if t.TypeValue == 0 {
		t.TypeValue = defaultTargetType
	}
	return err
}

// simple appends the SimpleTag e to list; depth counts the SimpleTags around
// its children.
func (p *tagParser) simple(e element, list *[]SimpleTag, depth int) error {
	if depth > maxTagDepth {
		return syntaxError(e.offset, "SimpleTags nested deeper than %d", maxTagDepth)
	}
	if err := p.count(e); err != nil {
		return err
	}
	var t SimpleTag
	err := e.children(func(c element) error {
		switch c.id {
		case idTagName:
			return c.text(&t.Name)
		case idTagString:
			return c.text(&t.Value)
		case idTagLanguage:
			return c.text(&t.Language)
		case idTagBinary:
			return c.bytes(&t.Binary)
		case idSimpleTag:
			return p.simple(c, &t.Nested, depth+1)
		}
		return nil
	})
	*list = append(*list, t)
	return err
}
