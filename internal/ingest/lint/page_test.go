package lint

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/pagetest"
	"github.com/millrace/millrace/internal/rejection"
)

var update = flag.Bool("update", false, "write docs/ref/ack-codes.md")

// page is the reference of what a server refuses and what lint warns of.
func page() string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make gen from the cases of internal/ingest, internal/rejection and internal/ingest/lint; do not edit. -->

# What is refused, and what helps

A producer hears of a fragment that failed by an ERROR acknowledgement, which has room for a
number and a name. ` + "`millrace why STREAM`" + ` shows the rest of it: what was found, at which byte,
in which track, under which timecode, and what to do. ` + "`millrace lint FILE`" + ` says the same of a
file before it is sent. The words in the column "Case" are those of both commands and of
ListRejections ([operations of our own](admin.md#listrejections)). How acknowledgements follow each
other is said in [From bytes to acknowledgements](../design/ingest-acks.md).

An error that belongs to no fragment has the timecode -1 and an empty number, and ends the session.
The numbers 4500 to 4506 are about the wrapping key of a stream, as in [secure](../guide/secure.md#encryption-at-rest).
`)
	last := ingest.Code(0)
	for _, c := range ingest.Cases() {
		if c.Code != last {
			fmt.Fprintf(&b, "\n## %d %s\n\n| Case | When | What to do |\n|---|---|---|\n", int(c.Code), c.Code)
			last = c.Code
		}
		fix := c.Fix
		if c.Limit != "" {
			fix += fmt.Sprintf(" The limit is `%s`.", c.Limit)
		}
		row(&b, c.Name, c.When, fix)
	}
	b.WriteString(`
## Refused before the body

A call of PutMedia that is answered with an exception, on a stream that there is.

| Case | When | What to do |
|---|---|---|
`)
	for _, a := range rejection.Advices() {
		row(&b, a.Name, a.When, a.Fix)
	}
	b.WriteString(`
## Refused to those who want to see a stream

Calls of GetHLSStreamingSessionURL, GetDASHStreamingSessionURL and GetClip, and what is behind a session URL
when the media are why.

| Case | When | What to do |
|---|---|---|
`)
	for _, a := range rejection.PlayAdvices() {
		row(&b, a.Name, a.When, a.Fix)
	}
	b.WriteString(`
## Warnings of lint

Legal, and taken by every server; unwise all the same.

| Case | When | What to do |
|---|---|---|
`)
	for _, c := range Cautions() {
		row(&b, c.Name, c.When, c.Fix)
	}
	return b.String()
}

func row(b *strings.Builder, name, when, fix string) {
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, strings.ReplaceAll(when, "|", `\|`), strings.ReplaceAll(fix, "|", `\|`))
}

func TestThePageIsCurrent(t *testing.T) {
	const name = "../../../docs/ref/ack-codes.md"
	want := page()
	pagetest.Current(t, name, want, *update)
}
