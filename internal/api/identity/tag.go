package identity

import (
	"context"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

// taggables are the kinds of entities that have tags.
var taggables = []owner{
	{"User", "UserName", aUser, userOwner},
	{"Role", "RoleName", aRole, roleOwner},
	{"Policy", "PolicyArn", aPolicy, policyOwner},
}

func policyOwner(ctx context.Context, s *service, r *request) (directory.Owner, error) {
	p, err := s.Directory.Policy(ctx, r.account(), r.Get("PolicyArn"))
	return p.Owner(), err
}

func tagActions() (all []action) {
	for _, o := range taggables {
		all = append(all,
			action{name: "Tag" + o.word, needs: o.param, takes: "Tags", target: o.target, call: o.owned(tag)},
			action{name: "Untag" + o.word, needs: o.param, takes: "TagKeys", target: o.target, call: o.owned(untag)},
			action{name: "List" + o.word + "Tags", needs: o.param, takes: "Marker MaxItems", target: o.target, call: o.owned(listTags)})
	}
	return all
}

func tag(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	tags, err := r.newTags()
	if err != nil {
		return nil, err
	}
	return nil, s.Directory.Tag(ctx, r.account(), of, tags)
}

func untag(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	return nil, s.Directory.Untag(ctx, r.account(), of, r.Texts("TagKeys"))
}

type tagsResult struct {
	Tags query.List[tagged]
	page
}

func listTags(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	tags, p, err := listed(s, r, func(after string, most int) ([]directory.Tag, string, error) {
		return s.Directory.Tags(ctx, r.account(), of, after, most)
	})
	return tagsResult{query.ListOf(tags, showTag), p}, err
}

func showTag(t directory.Tag) tagged { return tagged{t.Key, t.Value} }

// someTags are the tags of an entity in an answer, which leaves them out if there are none.
func someTags(tags []directory.Tag) *query.List[tagged] {
	if len(tags) == 0 {
		return nil
	}
	l := query.ListOf(tags, showTag)
	return &l
}

func tagMap(tags []directory.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// maxTags is how many tags an entity may have.
const maxTags = 50

// newTags are the tags that a call brings.
func (r *request) newTags() (tags []directory.Tag, err error) {
	for _, t := range r.Tags("Tags") {
		tags = append(tags, directory.Tag{Key: t.Key, Value: t.Value})
	}
	if len(tags) > maxTags {
		return nil, kvs.Errorf(kvs.Validation, "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", maxTags)
	}
	return tags, nil
}
