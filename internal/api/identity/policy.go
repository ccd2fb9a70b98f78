package identity

import (
	"context"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/query"
)

func policyActions() []action {
	return []action{
		{name: "CreatePolicy", needs: "PolicyName PolicyDocument", takes: "Path Description Tags", target: fresh(naming.Policy, "PolicyName"), call: createPolicy},
		{name: "GetPolicy", needs: "PolicyArn", target: aPolicy, call: getPolicy},
		{name: "ListPolicies", takes: "Scope OnlyAttached PathPrefix PolicyUsageFilter Marker MaxItems", target: all(naming.Policy), call: listPolicies},
		{name: "DeletePolicy", needs: "PolicyArn", target: aPolicy, call: deletePolicy},
		{name: "ListEntitiesForPolicy", needs: "PolicyArn", takes: "EntityFilter PathPrefix PolicyUsageFilter Marker MaxItems", target: aPolicy, call: listEntitiesForPolicy},
	}
}

// showPolicy is a policy in an answer; lists leave description and tags out, as in IAM.
func showPolicy(p directory.Policy) policyShape {
	return policyShape{PolicyName: p.Name, PolicyID: p.ID, ARN: p.ARN, Path: p.Path, DefaultVersionID: p.DefaultVersion,
		AttachmentCount: int64(p.Attachments), PermissionsBoundaryUsageCount: int64(p.Boundaries), IsAttachable: true,
		CreateDate: date(p.Created), UpdateDate: date(p.Updated)}
}

func wholePolicy(p directory.Policy) policyShape {
	shape := showPolicy(p)
	shape.Description, shape.Tags = p.Description, someTags(p.Tags)
	return shape
}

type policyResult struct{ Policy policyShape }

func createPolicy(ctx context.Context, s *service, r *request) (any, error) {
	tags, err := r.newTags()
	if err != nil {
		return nil, err
	}
	p, err := s.Directory.CreatePolicy(ctx, r.account(), directory.Policy{Name: r.Get("PolicyName"), Path: r.path(), Description: r.Get("Description"), Tags: tags}, r.Get("PolicyDocument"))
	if err != nil {
		return nil, err
	}
	return policyResult{wholePolicy(p)}, nil
}

func getPolicy(ctx context.Context, s *service, r *request) (any, error) {
	p, err := s.Directory.Policy(ctx, r.account(), r.Get("PolicyArn"))
	if err != nil {
		return nil, err
	}
	return policyResult{wholePolicy(p)}, nil
}

func deletePolicy(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.DeletePolicy(ctx, r.account(), r.Get("PolicyArn"))
}

type policiesResult struct {
	Policies query.List[policyShape]
	page
}

func listPolicies(ctx context.Context, s *service, r *request) (any, error) {
	policies, p, err := listed(s, r, func(after string, most int) ([]directory.Policy, string, error) {
		return s.Directory.Policies(ctx, r.account(), directory.PolicyQuery{
			Scope: directory.Scope(r.Get("Scope")), Prefix: r.Get("PathPrefix"), After: after, Limit: most,
			Used:     r.Bool("OnlyAttached") || r.Get("PolicyUsageFilter") == permissionsPolicy,
			Bounding: r.Get("PolicyUsageFilter") == permissionsBoundary,
		})
	})
	return policiesResult{query.ListOf(policies, showPolicy), p}, err
}

// What a policy is used as (IAM: PolicyUsageType).
const (
	permissionsPolicy   = "PermissionsPolicy"
	permissionsBoundary = "PermissionsBoundary"
)

func versionActions() []action {
	return []action{
		{name: "CreatePolicyVersion", needs: "PolicyArn PolicyDocument", takes: "SetAsDefault", target: aPolicy, call: createPolicyVersion},
		{name: "GetPolicyVersion", needs: "PolicyArn VersionId", target: aPolicy, call: getPolicyVersion},
		{name: "ListPolicyVersions", needs: "PolicyArn", takes: "Marker MaxItems", target: aPolicy, call: listPolicyVersions},
		{name: "SetDefaultPolicyVersion", needs: "PolicyArn VersionId", target: aPolicy, call: setDefaultPolicyVersion},
		{name: "DeletePolicyVersion", needs: "PolicyArn VersionId", target: aPolicy, call: deletePolicyVersion},
	}
}

// showVersion is a version without its document, as lists and CreatePolicyVersion have it.
func showVersion(v directory.PolicyVersion) versionShape {
	return versionShape{VersionID: v.ID, IsDefaultVersion: v.Default, CreateDate: date(v.Created)}
}

type versionResult struct{ PolicyVersion versionShape }

func createPolicyVersion(ctx context.Context, s *service, r *request) (any, error) {
	v, err := s.Directory.CreateVersion(ctx, r.account(), r.Get("PolicyArn"), r.Get("PolicyDocument"), r.Bool("SetAsDefault"))
	if err != nil {
		return nil, err
	}
	return versionResult{showVersion(v)}, nil
}

func getPolicyVersion(ctx context.Context, s *service, r *request) (any, error) {
	v, err := s.Directory.Version(ctx, r.account(), r.Get("PolicyArn"), r.Get("VersionId"))
	if err != nil {
		return nil, err
	}
	shape := showVersion(v)
	shape.Document = escaped(v.Text)
	return versionResult{shape}, nil
}

type versionsResult struct {
	Versions query.List[versionShape]
	page
}

func listPolicyVersions(ctx context.Context, s *service, r *request) (any, error) {
	all, err := s.Directory.Versions(ctx, r.account(), r.Get("PolicyArn"))
	if err != nil {
		return nil, err
	}
	versions, p, err := short(s, r, all, func(v directory.PolicyVersion) string { return v.ID })
	return versionsResult{query.ListOf(versions, showVersion), p}, err
}

func setDefaultPolicyVersion(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.SetDefault(ctx, r.account(), r.Get("PolicyArn"), r.Get("VersionId"))
}

func deletePolicyVersion(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.DeleteVersion(ctx, r.account(), r.Get("PolicyArn"), r.Get("VersionId"))
}
