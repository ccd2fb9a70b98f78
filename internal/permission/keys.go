package permission

import (
	"slices"
	"strings"
)

// GlobalKeys are the condition keys that any operation may fill (docs/design/identity.md,
// section 2, which says when). KEY stands for the name of a tag.
var GlobalKeys = []string{
	"aws:CurrentTime", "aws:EpochTime", "aws:SecureTransport", "aws:SourceIp", "aws:UserAgent", "aws:Referer", "aws:RequestedRegion",
	"aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:PrincipalTag/KEY", "aws:userid", "aws:username",
	"aws:PrincipalIsAWSService", "aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:ResourceAccount",
	"credentials-iot:ThingName", "credentials-iot:AwsCertificateId", "credentials-iot:ThingTypeName", "millrace:Listener",
}

// KnownKey reports whether some request fills the condition key, written in any case.
func KnownKey(key string) bool {
	same := func(known string) bool {
		family, tagged := strings.CutSuffix(known, "/KEY")
		if tagged {
			return len(key) > len(family)+1 && strings.EqualFold(key[:len(family)+1], family+"/")
		}
		return strings.EqualFold(key, known)
	}
	if slices.ContainsFunc(GlobalKeys, same) {
		return true
	}
	for p := range All() {
		if slices.ContainsFunc(p.Keys, same) {
			return true
		}
	}
	return false
}
