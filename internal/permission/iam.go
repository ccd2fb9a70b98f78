package permission

import (
	"slices"
	"strings"
)

// Condition keys of calls to IAM.
var (
	newTags  = []string{"aws:RequestTag/KEY", "aws:TagKeys"}
	oldTags  = []string{"aws:ResourceTag/KEY"}
	bounded  = []string{"aws:ResourceTag/KEY", "iam:PermissionsBoundary"}
	attached = []string{"aws:ResourceTag/KEY", "iam:PermissionsBoundary", "iam:PolicyARN"}
)

var iam = Section{Title: "IAM (iam)", Text: "The operations of IAM that are served, in the Query protocol. Lists are about " +
	"`arn:aws:iam::ACCOUNT:user/`, and `group/`, `role/` and `policy/` alike: a policy for them has the resource `*`. " +
	"iam:PermissionsBoundary is the boundary that is given, else the one that the user or role has. " +
	"Who renames or moves something needs the permission for the new ARN as well.",
	Permissions: guarded(slices.Concat(users(), groups(), roles(), policies(), accounts()))}

// guarded keeps from further keys of the home account what changes anything: by a user of
// their own they would have what they must not have.
func guarded(all []Permission) []Permission {
	for i, p := range all {
		looks := slices.ContainsFunc([]string{"Get", "List", "Simulate"}, func(verb string) bool { return strings.HasPrefix(p.Operation, verb) })
		if !looks {
			all[i].Holder = Guardians
		}
	}
	return all
}

func users() []Permission {
	return slices.Concat(
		with(append(newTags, "iam:PermissionsBoundary"), rows("iam", User, "CreateUser")),
		rows("iam", User, "ListUsers"),
		with(oldTags, rows("iam", User, "GetUser", "UpdateUser", "DeleteUser", "ListGroupsForUser", "ListUserTags",
			"CreateAccessKey", "ListAccessKeys", "UpdateAccessKey", "DeleteAccessKey", "GetAccessKeyLastUsed",
			"GetUserPolicy", "ListUserPolicies", "ListAttachedUserPolicies")),
		with(append(newTags, oldTags...), rows("iam", User, "TagUser")),
		with(append(oldTags, "aws:TagKeys"), rows("iam", User, "UntagUser")),
		with(bounded, rows("iam", User, "PutUserPolicy", "DeleteUserPolicy", "PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary")),
		with(attached, rows("iam", User, "AttachUserPolicy", "DetachUserPolicy")))
}

func groups() []Permission {
	return slices.Concat(
		rows("iam", Group, "CreateGroup", "GetGroup", "ListGroups", "UpdateGroup", "DeleteGroup", "AddUserToGroup", "RemoveUserFromGroup",
			"PutGroupPolicy", "GetGroupPolicy", "ListGroupPolicies", "DeleteGroupPolicy", "ListAttachedGroupPolicies"),
		with([]string{"iam:PolicyARN"}, rows("iam", Group, "AttachGroupPolicy", "DetachGroupPolicy")))
}

func roles() []Permission {
	return slices.Concat(
		with(append(newTags, "iam:PermissionsBoundary"), rows("iam", Role, "CreateRole")),
		rows("iam", Role, "ListRoles"),
		with(oldTags, rows("iam", Role, "GetRole", "UpdateRole", "UpdateRoleDescription", "UpdateAssumeRolePolicy", "DeleteRole",
			"ListInstanceProfilesForRole", "ListRoleTags", "GetRolePolicy", "ListRolePolicies", "ListAttachedRolePolicies")),
		with(append(newTags, oldTags...), rows("iam", Role, "TagRole")),
		with(append(oldTags, "aws:TagKeys"), rows("iam", Role, "UntagRole")),
		with(bounded, rows("iam", Role, "PutRolePolicy", "DeleteRolePolicy", "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary")),
		with(attached, rows("iam", Role, "AttachRolePolicy", "DetachRolePolicy")))
}

func policies() []Permission {
	return slices.Concat(
		with(newTags, rows("iam", Policy, "CreatePolicy")),
		rows("iam", Policy, "ListPolicies"),
		with(oldTags, rows("iam", Policy, "GetPolicy", "DeletePolicy", "ListEntitiesForPolicy", "CreatePolicyVersion", "GetPolicyVersion",
			"ListPolicyVersions", "SetDefaultPolicyVersion", "DeletePolicyVersion", "ListPolicyTags")),
		with(append(newTags, oldTags...), rows("iam", Policy, "TagPolicy")),
		with(append(oldTags, "aws:TagKeys"), rows("iam", Policy, "UntagPolicy")))
}

func accounts() []Permission {
	return slices.Concat(
		rows("iam", Principal, "SimulatePrincipalPolicy"),
		rows("iam", Any, "SimulateCustomPolicy", "GetAccountSummary", "ListAccountAliases"))
}
