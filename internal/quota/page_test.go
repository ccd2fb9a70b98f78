package quota

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/pagetest"
)

var update = flag.Bool("update", false, "write docs/ref/limits.md anew")

// chapters are the parts of the page by the sections of the limits sheet.
var chapters = []struct {
	title    string
	sections []string
}{
	{"Streams", []string{"2.1"}},
	{"Fragments and PutMedia", []string{"1", "3", "3.1", "6"}},
	{"Reading", []string{"3", "3.1", "4"}},
	{"Quota points", []string{"5"}},
	{"Signaling channels, and tags by ARN", []string{"2.2", "6", "7"}},
	{"Relay", []string{"8"}},
	{"WebRTC ingestion", []string{"9"}},
	{"Edge agent", []string{"10"}},
	{"The server's own", []string{""}},
}

// chapter is where a limit stands.
func chapter(l *Limit) string {
	switch {
	case strings.HasPrefix(l.Name, "channel."):
		return "Signaling channels, and tags by ARN"
	case l.Operation == put, l.Name == "stream.tags":
		return map[bool]string{true: "Fragments and PutMedia", false: "Streams"}[l.Operation == put]
	}
	for _, c := range chapters {
		for _, s := range c.sections {
			if c.title != "Fragments and PutMedia" && s == l.Section {
				return c.title
			}
		}
	}
	return ""
}

func limitsPage() string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make gen from the table of limits; do not edit. -->

# Limits

Every limit has a name. Its value comes, in rising precedence, from

1. the profile: ` + "`open`" + ` keeps only what protects the server, ` + "`aws`" + ` has the published quotas of the original service;
2. ` + "`limits:`" + ` in millrace.yml, for the whole server; read again on SIGHUP;
3. what was set for an account: ` + "`millrace limit set NAME VALUE`" + `;
4. what was set for one stream: ` + "`millrace limit set NAME VALUE --stream STREAM`" + `. It goes with the stream.

A change holds at once: for the next request, the next connection, and in open sessions from the
next fragment or look at the clock on. Lowering a limit of connections ends none.

Values are written ` + "`3`, `50MB` or `200MiB`, `5/s`, `30/m` or `1/d`, `12.5MB/s` or `100Mbit/s`, `45m`, `on` or `off`; `none`" + ` is no limit.
Numbers are at most 1000000000, sizes 1B to 100000GB, rates 1/d to 1000000/s, bandwidths 1B/s to 1000GB/s, times 1ms to 87600h.
A rate lets one second's worth through at once, and one call at least.

In the columns: **Set for** is the smallest thing that a limit can be set for. **Original** says whether the
original service raises the limit on request (soft) or for nobody (hard); hard ones can be changed here, too, and
` + "`millrace limit list`" + ` says in the profile aws where the server then differs. Limits of operations that are
not served yet are in the table and can be set, but nobody meets them.

`)
	for _, c := range chapters {
		fmt.Fprintf(&b, "## %s\n\n| Name | Limits | `open` | `aws` | Set for | Beyond it | Original | In force |\n|---|---|---|---|---|---|---|---|\n", c.title)
		for _, l := range Table() {
			if chapter(l) == c.title {
				fmt.Fprintln(&b, line(l))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString(fixed)
	return b.String()
}

// line is the row of one limit.
func line(l *Limit) string {
	original := "soft"
	switch {
	case l.Section == "":
		original = "ours"
	case l.Hard:
		original = "hard"
	}
	served := "yes"
	if !l.Served() {
		served = "not served yet"
	}
	text := strings.ReplaceAll(l.Help, "|", "\\|")
	if l.Most > 0 {
		text += "; at most " + l.Format(l.Most)
	}
	if l.Least > 0 {
		text += "; at least " + l.Format(l.Least)
	}
	if l.Smaller > 0 {
		text += "; `aws` has " + l.Format(l.Smaller) + " for servers of other regions than us-east-1 and us-west-2"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s | %s |", l.Name, text, l.Format(l.Open), l.Format(l.AWS), l.Scope, l.Breach, original, served)
}

// fixed are the bounds that the service models have for members of requests (limits
// sheet, section 11). Package wire checks them.
const fixed = `## Fixed by the service models

These are checked before anything else, in both profiles, and cannot be set. A breach is an
InvalidArgumentException.

| Member | Bounds |
|---|---|
| StreamName, ChannelName | 1 to 256 of the characters a-z, A-Z, 0-9, _, . and - |
| StreamARN, ResourceARN | 1 to 1,024 characters, the form of an ARN |
| DeviceName | 1 to 128 of the same characters as names |
| MediaType | 1 to 128 characters, type/subtype, separated by commas |
| KmsKeyId | 1 to 2,048 characters |
| Version | 1 to 64 letters and digits |
| DataRetentionInHours | 0 to 87,600; a change is at least one hour |
| Tags of one call | keys of 1 to 128 characters, values of 0 to 256; at most 50 |
| Fragment numbers | 1 to 128 digits |
| Continuation tokens | 1 to 128 of the characters a-z, A-Z, 0-9, _, . and - |
| NextToken | 0 to 1,024 characters; of ListFragments 1 to 4,096 |
| MaxResults | ListStreams 1 to 10,000; ListFragments 1 to 1,000, 100 if not given |
| Fragments of GetMediaForFragmentList | 1 to 1,000 |
`

func TestLimitsPage(t *testing.T) {
	const name = "../../docs/ref/limits.md"
	want := limitsPage()
	for _, l := range Table() {
		if n := strings.Count(want, "\n| `"+l.Name+"` |"); n != 1 {
			t.Errorf("%s stands on the page %d times", l.Name, n)
		}
	}
	pagetest.Current(t, name, want, *update)
}
