package permission

var sts = Section{Title: "STS (sts)", Text: "The operations of STS that are served, in the Query protocol. " +
	"AssumeRole also needs the role's trust policy; what counts for whom is in [identity](../design/identity.md#2-how-a-request-is-decided).",
	Permissions: []Permission{
		{Operation: "AssumeRole", Action: "sts:AssumeRole", Resource: Role, Keys: []string{"sts:ExternalId", "sts:RoleSessionName", "aws:RequestTag/KEY", "aws:TagKeys"},
			Note: "the policies of the caller and the trust policy of the role must allow it; never the root of an account"},
		{Operation: "AssumeRole with Tags", Action: "sts:TagSession", Resource: Role, Keys: []string{"sts:ExternalId", "sts:RoleSessionName", "aws:RequestTag/KEY", "aws:TagKeys"},
			Note: "besides sts:AssumeRole, likewise in both policies"},
		{Operation: "DecodeAuthorizationMessage", Action: "sts:DecodeAuthorizationMessage", Resource: Any, Note: "messages about callers of the own account"},
		{Operation: "GetAccessKeyInfo", Action: "sts:GetAccessKeyInfo", Resource: Any},
		{Operation: "GetCallerIdentity", Resource: Any, Holder: Nobody, Note: "needs no permission, and no Deny stops it"},
		{Operation: "GetSessionToken", Action: "sts:GetSessionToken", Resource: Any, Holder: Nobody, Note: "needs no permission; an explicit Deny stops it"},
	}}
