"""Calls every action of IAM that is served. Prints JSON with what it saw."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

endpoint, ca = sys.argv[1:3]
iam = boto3.client("iam", endpoint_url=endpoint, verify=ca)
model = iam.meta.service_model
called, unmodelled = set(), []
saw, refused = {}, {}


def note(model, operation_name, parsed, **_):
    """Looks whether an answer has what the service model says it always has."""
    called.add(model.name)
    shape = model.output_shape
    if parsed.get("ResponseMetadata", {}).get("HTTPStatusCode") == 200 and shape is not None:
        lacking(model.name, shape, parsed)


def lacking(where, shape, value):
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value and not value.get("Arn", "").endswith(":root"):  # the root has no name
                unmodelled.append(where + " " + name)
        for name, member in shape.members.items():
            if name in value:
                lacking(where + "." + name, member, value[name])
    elif shape.type_name == "list":
        for v in value:
            lacking(where, shape.member, v)


def after(model, parsed, **_):
    note(model, model.name, parsed)


iam.meta.events.register("after-call.iam", after)


def fails(name, call, **arguments):
    try:
        call(**arguments)
        refused[name] = "nothing"
    except ClientError as e:
        code, status = e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        kind = type(e).__name__
        refused[name] = f"{kind} {code} {status}" if kind == "ClientError" else f"{kind} {status}"


def every(action, key, **arguments):
    """All pages of a list, one item each."""
    found = []
    for page in iam.get_paginator(action).paginate(PaginationConfig={"PageSize": 1}, **arguments):
        found += page[key]
    return found


def document(action, effect="Allow"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]})


trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})

# users and groups
for i in range(5):
    iam.create_user(UserName=f"u{i}", Path="/p/")
iam.get_waiter("user_exists").wait(UserName="u0")
saw["users"] = [u["UserName"] for u in every("list_users", "Users", PathPrefix="/p/")]
iam.get_user()
iam.update_user(UserName="u4", NewUserName="u5")
iam.update_user(UserName="u5", NewUserName="u4")
iam.create_group(GroupName="crew")
iam.update_group(GroupName="crew", NewGroupName="staff", NewPath="/g/")
iam.add_user_to_group(GroupName="staff", UserName="u0")
saw["groups of u0"] = [g["GroupName"] for g in every("list_groups_for_user", "Groups", UserName="u0")]
saw["members"] = [u["UserName"] for u in every("get_group", "Users", GroupName="staff")]
every("list_groups", "Groups")

# keys
key = iam.create_access_key(UserName="u0")["AccessKey"]["AccessKeyId"]
iam.create_access_key(UserName="u0")
fails("third key", iam.create_access_key, UserName="u0")
iam.update_access_key(UserName="u0", AccessKeyId=key, Status="Inactive")
iam.get_access_key_last_used(AccessKeyId=key)
iam.delete_access_key(UserName="u0", AccessKeyId=key)
keys = every("list_access_keys", "AccessKeyMetadata", UserName="u0")
saw["keys"] = len(keys)

# roles
iam.create_role(RoleName="op", AssumeRolePolicyDocument=trust, Description="operator", MaxSessionDuration=7200)
iam.get_waiter("role_exists").wait(RoleName="op")
iam.update_role(RoleName="op", Description="new", MaxSessionDuration=3600)
iam.update_role_description(RoleName="op", Description="newer")
iam.update_assume_role_policy(RoleName="op", PolicyDocument=trust)
saw["trust"] = iam.get_role(RoleName="op")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Action"]
every("list_roles", "Roles")
iam.list_instance_profiles_for_role(RoleName="op")

# managed policies
arn = iam.create_policy(PolicyName="watch", PolicyDocument=document("kinesisvideo:Get*"), Description="watching")["Policy"]["Arn"]
iam.get_waiter("policy_exists").wait(PolicyArn=arn)
iam.create_policy_version(PolicyArn=arn, PolicyDocument=document("kinesisvideo:*"), SetAsDefault=True)
saw["document"] = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"]["Statement"][0]["Action"]
saw["versions"] = [v["VersionId"] for v in every("list_policy_versions", "Versions", PolicyArn=arn)]
iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
iam.get_policy(PolicyArn=arn)
saw["local policies"] = [p["PolicyName"] for p in every("list_policies", "Policies", Scope="Local")]
if len(every("list_policies", "Policies")) < 5:
    unmodelled.append("ListPolicies has no built-in policies")
iam.attach_user_policy(UserName="u0", PolicyArn=arn)
iam.attach_group_policy(GroupName="staff", PolicyArn=arn)
iam.attach_role_policy(RoleName="op", PolicyArn=arn)
saw["attached"] = [
    p["PolicyName"]
    for p in every("list_attached_user_policies", "AttachedPolicies", UserName="u0")
    + every("list_attached_group_policies", "AttachedPolicies", GroupName="staff")
    + every("list_attached_role_policies", "AttachedPolicies", RoleName="op")
]
iam.put_user_permissions_boundary(UserName="u1", PermissionsBoundary=arn)
iam.put_role_permissions_boundary(RoleName="op", PermissionsBoundary=arn)
saw["boundary"] = iam.get_user(UserName="u1")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"]
entities = {"PolicyGroups": set(), "PolicyUsers": set(), "PolicyRoles": set()}
for page in iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 1}):
    for kind, names in entities.items():
        names.update(e[kind[6:-1] + "Name"] for e in page[kind])
saw["entities"] = [sorted(entities[kind]) for kind in ("PolicyGroups", "PolicyUsers", "PolicyRoles")]
fails("delete used", iam.delete_policy, PolicyArn=arn)
iam.delete_role_permissions_boundary(RoleName="op")
iam.delete_user_permissions_boundary(UserName="u1")

# inline policies
for kind, who in (("user", {"UserName": "u0"}), ("group", {"GroupName": "staff"}), ("role", {"RoleName": "op"})):
    getattr(iam, f"put_{kind}_policy")(PolicyName="own", PolicyDocument=document("kinesisvideo:Delete*", "Deny"), **who)
    getattr(iam, f"get_{kind}_policy")(PolicyName="own", **who)
    if every(f"list_{kind}_policies", "PolicyNames", **who) != ["own"]:
        unmodelled.append(f"list_{kind}_policies")

# tags
for kind, who in (("user", {"UserName": "u0"}), ("role", {"RoleName": "op"}), ("policy", {"PolicyArn": arn})):
    getattr(iam, f"tag_{kind}")(Tags=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": ""}], **who)
    getattr(iam, f"untag_{kind}")(TagKeys=["c"], **who)
    saw["tags"] = getattr(iam, f"list_{kind}_tags")(**who)["Tags"]

# simulations
results = every(
    "simulate_principal_policy",
    "EvaluationResults",
    PolicySourceArn=iam.get_user(UserName="u0")["User"]["Arn"],
    ActionNames=["kinesisvideo:GetMedia", "kinesisvideo:PutMedia", "kinesisvideo:DeleteStream"],
)
saw["simulated"] = [r["EvalDecision"] for r in results]
iam.simulate_custom_policy(
    PolicyInputList=[document("kinesisvideo:*")],
    ActionNames=["kinesisvideo:GetMedia"],
    ContextEntries=[{"ContextKeyName": "aws:username", "ContextKeyType": "string", "ContextKeyValues": ["u0"]}],
)
summary = iam.get_account_summary()["SummaryMap"]
saw["summary"] = [summary[k] for k in ("Users", "Groups", "Roles", "Policies")]
every("list_account_aliases", "AccountAliases")

# exceptions
fails("get nobody", iam.get_user, UserName="nobody")
fails("create twice", iam.create_user, UserName="u0")
fails("bad policy", iam.put_user_policy, UserName="u0", PolicyName="bad", PolicyDocument="{}")
fails("bad arn", iam.get_policy, PolicyArn="no-arn-at-all-but-long")
fails("built in", iam.delete_policy, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
fails("bad name", iam.create_user, UserName="a/b")
fails("not served", iam.list_server_certificates)
called.discard("ListServerCertificates")

# tidying up
for kind, who in (("user", {"UserName": "u0"}), ("group", {"GroupName": "staff"}), ("role", {"RoleName": "op"})):
    getattr(iam, f"delete_{kind}_policy")(PolicyName="own", **who)
    getattr(iam, f"detach_{kind}_policy")(PolicyArn=arn, **who)
iam.remove_user_from_group(GroupName="staff", UserName="u0")
iam.delete_group(GroupName="staff")
iam.delete_role(RoleName="op")
iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
iam.delete_policy(PolicyArn=arn)
iam.delete_access_key(UserName="u0", AccessKeyId=keys[0]["AccessKeyId"])
iam.delete_user(UserName="u0")

served = set(sys.argv[3:])
json.dump({"uncalled": sorted(served - called), "unmodelled": sorted(set(unmodelled)), "saw": saw, "refused": refused}, sys.stdout)
