package catalog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/kvs"
)

// Tag adds tags; the value of an existing key is replaced. More tags in the end than
// the stream may have are TooManyTags, and nothing is added. Tags have no part in the stream's version,
// because the calls that change them do not carry one.
func (c *Catalog) Tag(ctx context.Context, id kvs.StreamID, tags map[string]string) error {
	return c.change(ctx, id, func(s *kvs.Stream) error {
		all := merged(s.Tags, tags)
		if err := c.checkTags(s.Account, id, len(all)); err != nil {
			return err
		}
		s.Tags = all
		return nil
	})
}

// Untag removes the tags with these keys; unknown keys are ignored.
func (c *Catalog) Untag(ctx context.Context, id kvs.StreamID, keys []string) error {
	return c.change(ctx, id, func(s *kvs.Stream) error {
		s.Tags = merged(s.Tags, nil)
		for _, k := range keys {
			delete(s.Tags, k)
		}
		return nil
	})
}

// merged returns a new map, because those in a kvs.Stream are never modified.
func merged(old, more map[string]string) map[string]string {
	all := make(map[string]string, len(old)+len(more))
	maps.Copy(all, old)
	maps.Copy(all, more)
	return all
}

// place is where a tag stands in the pages of ListTags. It is a hash of the key, because
// a key may be too long for a token.
type place [16]byte

func placeOf(key string) place {
	sum := sha256.Sum256([]byte(key))
	return place(sum[:16])
}

// ListTags returns a page of tags and the token of the next page, "" at the end. A
// token that was not given for this stream is an InvalidArgument.
func (c *Catalog) ListTags(ctx context.Context, id kvs.StreamID, token string) (tags map[string]string, next string, err error) {
	r, err := byID(ctx, c.db.Read(), id)
	if err != nil {
		return nil, "", err
	}
	return c.TagsPage(int64(id), r.Tags, token)
}

// TagsPage returns a page of the tags of the stream or channel with that id, and the token
// of the next page, "" at the end. A token that was not given for it is an InvalidArgument.
func (c *Catalog) TagsPage(id int64, tags map[string]string, token string) (page map[string]string, next string, err error) {
	list := []string{"tags", strconv.FormatInt(id, 10)}
	var after place
	if token != "" {
		position, err := c.tokens.open(token, list...)
		if err != nil {
			return nil, "", err
		}
		copy(after[:], position)
	}
	page, last, more := tagPage(tags, after, token != "", c.tagPage)
	if more {
		next = c.tokens.seal(last[:], list...)
	}
	return page, next, nil
}

// tagPage returns at most size tags behind the place after, if behind is true.
func tagPage(all map[string]string, after place, behind bool, size int) (page map[string]string, last place, more bool) {
	type tag struct {
		place
		key string
	}
	var order []tag
	for k := range all {
		if p := placeOf(k); !behind || bytes.Compare(p[:], after[:]) > 0 {
			order = append(order, tag{p, k})
		}
	}
	slices.SortFunc(order, func(a, b tag) int {
		return cmp.Or(bytes.Compare(a.place[:], b.place[:]), cmp.Compare(a.key, b.key))
	})
	if more = len(order) > size; more {
		order = order[:size]
		last = order[size-1].place
	}
	page = make(map[string]string, len(order))
	for _, t := range order {
		page[t.key] = all[t.key]
	}
	return page, last, more
}
