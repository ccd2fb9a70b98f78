package identity

import (
	"context"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/query"
)

func accountActions() []action {
	return []action{
		{name: "GetAccountSummary", target: anything, call: getAccountSummary},
		{name: "ListAccountAliases", takes: "Marker MaxItems", target: anything, call: listAccountAliases},
	}
}

type summaryResult struct{ SummaryMap summaryMap }

type summaryMap struct {
	Entry []summaryEntry `xml:"entry"`
}

type summaryEntry struct {
	Key   string `xml:"key"`
	Value int64  `xml:"value"`
}

// getAccountSummary counts what the account has, beside what it may have.
func getAccountSummary(ctx context.Context, s *service, r *request) (any, error) {
	n, err := s.Directory.Counts(ctx, r.account())
	if err != nil {
		return nil, err
	}
	keys, err := s.Keys.KeysOf(ctx, r.account(), "")
	if err != nil {
		return nil, err
	}
	all := []summaryEntry{
		{"Users", n[naming.User]}, {"Groups", n[naming.Group]}, {"Roles", n[naming.Role]}, {"Policies", n[naming.Policy]},
		{"AccountAccessKeysPresent", min(1, int64(len(keys)))},
		{"AccountMFAEnabled", 0}, {"AccountPasswordPresent", 0}, {"MFADevices", 0}, {"MFADevicesInUse", 0},
		{"AccessKeysPerUserQuota", 2}, {"GroupsPerUserQuota", 10}, {"VersionsPerPolicyQuota", 5},
		{"AttachedPoliciesPerUserQuota", 10}, {"AttachedPoliciesPerGroupQuota", 10}, {"AttachedPoliciesPerRoleQuota", 10},
		{"UserPolicySizeQuota", policy.MaxUser}, {"GroupPolicySizeQuota", policy.MaxGroup}, {"RolePolicySizeQuota", policy.MaxRole},
		{"PolicySizeQuota", policy.MaxManaged}, {"AssumeRolePolicySizeQuota", policy.MaxTrust},
	}
	return summaryResult{summaryMap{all}}, nil
}

type aliasesResult struct {
	AccountAliases query.List[string]
	page
}

// listAccountAliases says that there are none: tools ask.
func listAccountAliases(context.Context, *service, *request) (any, error) {
	return aliasesResult{}, nil
}
