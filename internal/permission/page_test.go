package permission

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/pagetest"
)

var update = flag.Bool("update", false, "write the page anew")

// holders is what the page says of them.
var holders = map[Holder]string{
	Everybody:    "",
	Guardians:    "not for further keys of the home account itself",
	Installation: "home account only; not for its further keys",
	Household:    "home account only",
	Nobody:       "",
}

func page() string {
	var b strings.Builder
	b.WriteString("<!-- Written by make gen from package permission; do not edit. -->\n\n" + `# Permissions

Which action a policy must allow for each operation, on which resource, and which condition keys
are filled besides the global ones. How policies are decided is in
[identity](../design/identity.md); recipes are in the [guide](../guide/secure.md).

The ARN of a stream is ` + "`arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CODE`" + `, that of a channel has
` + "`channel`" + ` in it; policies write ` + "`/*`" + ` for the code. A policy for an operation whose resource is ` + "`*`" + `
must have the resource ` + "`*`" + ` as well.

Global keys are aws:CurrentTime, aws:EpochTime, aws:SecureTransport, aws:SourceIp, aws:UserAgent,
aws:Referer, aws:RequestedRegion, aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType,
aws:PrincipalTag/KEY, aws:userid, aws:username, aws:PrincipalIsAWSService, aws:TokenIssueTime,
aws:MultiFactorAuthPresent, aws:ResourceAccount, credentials-iot:ThingName,
credentials-iot:AwsCertificateId, credentials-iot:ThingTypeName and millrace:Listener.
`)
	for _, s := range Sections() {
		fmt.Fprintf(&b, "\n## %s\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(&b, "\n%s\n", s.Text)
		}
		if len(s.Permissions) == 0 {
			continue
		}
		b.WriteString("\n| Operation | Action | Resource | Keys | |\n|---|---|---|---|---|\n")
		for _, p := range s.Permissions {
			action := "none"
			if p.Action != "" {
				action = "`" + string(p.Action) + "`"
			}
			note := strings.Trim(holders[p.Holder]+"; "+p.Note, "; ")
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.Operation, action, p.Resource, strings.Join(p.Keys, ", "), note)
		}
	}
	return b.String()
}

func TestPage(t *testing.T) { pagetest.Current(t, "../../docs/ref/permissions.md", page(), *update) }
