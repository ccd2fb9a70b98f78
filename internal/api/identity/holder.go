package identity

import (
	"context"
	"strings"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/query"
)

// The shapes of who has a policy.
type (
	holdingGroup struct {
		GroupName string
		GroupID   string `xml:"GroupId"`
	}
	holdingUser struct {
		UserName string
		UserID   string `xml:"UserId"`
	}
	holdingRole struct {
		RoleName string
		RoleID   string `xml:"RoleId"`
	}
)

type holdersResult struct {
	PolicyGroups query.List[holdingGroup]
	PolicyUsers  query.List[holdingUser]
	PolicyRoles  query.List[holdingRole]
	page
}

// filters are the kinds that EntityFilter stands for; other filters mean all.
var filters = map[string]directory.OwnerKind{"User": directory.UserOwner, "Group": directory.GroupOwner, "Role": directory.RoleOwner}

// Positions in the list of holders begin with the way in which a policy is held: first come
// those that have it, then those that it bounds.
const (
	having  = "having "
	bounded = "bounded "
)

func listEntitiesForPolicy(ctx context.Context, s *service, r *request) (any, error) {
	holders, p, err := listed(s, r, func(after string, most int) ([]directory.Holder, string, error) {
		usage := r.Get("PolicyUsageFilter")
		bounding := usage == permissionsBoundary || strings.HasPrefix(after, bounded)
		_, behind, _ := strings.Cut(after, " ")
		all, next, err := s.Directory.Holders(ctx, r.account(), r.Get("PolicyArn"), directory.HoldersQuery{
			Kind: filters[r.Get("EntityFilter")], Bounding: bounding, After: behind, Limit: most})
		switch {
		case next != "" && bounding:
			next = bounded + next
		case next != "":
			next = having + next
		case !bounding && usage == "":
			next = bounded
		}
		return all, next, err
	})
	if err != nil {
		return nil, err
	}
	return showHolders(r.Get("PathPrefix"), holders, p), nil
}

func showHolders(prefix string, holders []directory.Holder, p page) holdersResult {
	result := holdersResult{page: p}
	for _, h := range holders {
		if !strings.HasPrefix(h.Path, prefix) {
			continue
		}
		switch h.Kind {
		case directory.GroupOwner:
			result.PolicyGroups.Member = append(result.PolicyGroups.Member, holdingGroup{h.Name, h.ID})
		case directory.UserOwner:
			result.PolicyUsers.Member = append(result.PolicyUsers.Member, holdingUser{h.Name, h.ID})
		case directory.RoleOwner:
			result.PolicyRoles.Member = append(result.PolicyRoles.Member, holdingRole{h.Name, h.ID})
		}
	}
	return result
}
