package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// office answers the operations of holds and erasures.
type office struct {
	toll  string   // what EraseFragments answers
	asked []string // operations and bodies
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	operation := strings.TrimPrefix(r.URL.Path, "/millrace/")
	o.asked = append(o.asked, operation+" "+string(body))
	const hold = `{"Hold":3,"StreamName":"garden","From":"2026-01-02T15:00:00Z","To":"9999-12-31T23:59:59.999Z","Clock":"server","Note":"case 7","SetBy":"AKIA","Created":"2026-02-01T00:00:00Z"}`
	const erasure = `{"Erasure":9,"StreamName":"garden","From":"1970-01-01T00:00:00Z","To":"2026-01-02T16:00:00Z","Clock":"producer","AskedBy":"AKIA","Created":"2026-02-01T00:00:00Z","Fragments":2,"Bytes":2000,"Done":%v}`
	switch operation {
	case "AddHold":
		io.WriteString(w, hold)
	case "ListHolds":
		next := ""
		if !strings.Contains(string(body), "garden") && !strings.Contains(string(body), "page-2") {
			next = `,"NextToken":"page-2"`
		}
		fmt.Fprintf(w, `{"Holds":[%s]%s}`, hold, next)
	case "RemoveHold":
		if strings.Contains(string(body), "9") {
			w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"Message":"The stream has no hold 9."}`)
			return
		}
		io.WriteString(w, `{"Holds":[]}`)
	case "EraseFragments":
		fmt.Fprintf(w, o.toll, fmt.Sprintf(erasure, true))
	case "ListErasures":
		if strings.Contains(string(body), "gone") {
			w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"Message":"The requested stream is not found or not active."}`)
			return
		}
		if strings.Contains(string(body), "page-2") {
			io.WriteString(w, `{"Erasures":[]}`)
			return
		}
		fmt.Fprintf(w, `{"Erasures":[%s],"NextToken":"page-2"}`, fmt.Sprintf(erasure, false))
	}
}

func TestHold(t *testing.T) {
	for line, want := range map[string]string{
		"hold add garden --from 2026-01-02T15:00:00Z --note x": "Hold 3 keeps what garden has from 2026-01-02T15:00:00.000Z (server).",
		"hold list garden":        "3     garden  from 2026-01-02T15:00:00.000Z (server)  2026-02-01T00:00:00Z  AKIA  case 7",
		"hold list garden --json": `"Note":"case 7"`,
		"hold remove garden 3":    "Hold 3 is removed; garden has 0 holds now.",
	} {
		o := &office{}
		code, out, stderr := command(t, o, nil, strings.Fields(line)...)
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%s: %d, %q, %q", line, code, out, stderr)
		}
	}
	o := &office{}
	if code, out, stderr := command(t, o, nil, "hold", "list"); code != exitOK || strings.Count(out, "garden") != 2 || len(o.asked) != 2 {
		t.Errorf("of all streams: %d, %q, %q, %q", code, o.asked, out, stderr)
	}
	if code, _, stderr := command(t, &office{}, nil, "hold", "add", "garden", "--from", "2", "--to", "1"); code != exitUsage || !strings.Contains(stderr, "later than --to") {
		t.Errorf("%d, %q", code, stderr)
	}
}

const some, none, held = `{"Fragments":2,"Bytes":2000,"Held":0,"Erasure":%s}`, `{"Fragments":0,"Erasure":%s}`, `{"Fragments":2,"Bytes":2000,"Held":1,"Erasure":%s}`

// An erasure is made when somebody said yes, and of nothing that is on hold.
func TestErase(t *testing.T) {
	for _, c := range []struct {
		line, toll, answer string
		code, calls        int
		want               string
	}{
		{"erase garden --to 5", some, "yes\n", exitOK, 2, "2 fragments of garden, 2.0 kB, erased; record 9."},
		{"erase garden --to 5", some, "no\n", exitFailed, 1, "nothing was done"},
		{"erase garden --to 5", some, "", exitFailed, 1, "--yes says yes"},
		{"erase garden --to 5 --yes", some, "", exitOK, 2, "erased"},
		{"erase garden --to 5 --dry-run", some, "", exitOK, 1, "2 fragments of garden, 2.0 kB would be erased."},
		{"erase garden --to 5", none, "", exitOK, 1, "has nothing stored"},
		{"erase garden --to 5 --yes", held, "", exitFailed, 1, "millrace hold list garden"},
		{"erase --list", some, "", exitOK, 2, "9        garden  from the first on to 2026-01-02T16:00:00.000Z (producer), not finished  2          2.0 kB"},
		{"erase garden --list --json", some, "", exitOK, 2, `"Erasure":9`},
		{"erase garden", some, "", exitUsage, 0, "give --from, --to or both"},
		{"erase --yes", some, "", exitUsage, 0, "name the stream"},
		{"erase garden --json --to 5", some, "", exitUsage, 0, "--json goes with --list"},
		{"erase garden --list --yes", some, "", exitUsage, 0, "--list goes with"},
		{"erase garden --from 6 --to 5", some, "", exitUsage, 0, "later than --to"},
	} {
		o := &office{toll: c.toll}
		code, out, stderr := command(t, o, strings.NewReader(c.answer), strings.Fields(c.line)...)
		if code != c.code || !strings.Contains(out+stderr, c.want) || len(o.asked) != c.calls {
			t.Errorf("%s (%q): %d, %d calls, %q, %q", c.line, c.answer, code, len(o.asked), out, stderr)
		}
	}
}

// What is not there is told with the command that shows what there is.
func TestNoSuchHoldOrErasure(t *testing.T) {
	for line, want := range map[string]string{
		"hold remove garden 9": "hint: millrace hold list garden shows",
		"erase gone --list":    "hint: millrace erase --list has the records of streams that are deleted",
	} {
		code, _, stderr := command(t, &office{}, nil, strings.Fields(line)...)
		if code != exitFailed || !strings.Contains(stderr, want) || strings.Contains(stderr, "list-streams") {
			t.Errorf("%s: %d, %q", line, code, stderr)
		}
	}
}

// A limit that removes what is stored is set when somebody said yes.
func TestLimitThatRemoves(t *testing.T) {
	for _, c := range []struct {
		line, removes, answer string
		code, calls           int
		want                  string
	}{
		{"limit set stream.bytes 1MB --stream garden", `,"Removes":40,"RemovesBytes":2000000`, "no\n", exitFailed, 1, "40 fragments, 2.0 MB, go now"},
		{"limit set stream.bytes 1MB --stream garden", `,"Removes":40,"RemovesBytes":2000000`, "yes\n", exitOK, 2, "stream.bytes is 1MB for the stream garden"},
		{"limit set stream.bytes 1MB --stream garden", "", "", exitOK, 2, "stream.bytes is 1MB"},
		{"limit set stream.bytes 1MB --yes", `,"Removes":40`, "", exitOK, 1, "for the account"},
		{"limit set PutMedia.sessions 7", "", "", exitOK, 1, "for the account"},
	} {
		calls := 0
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			fmt.Fprintf(w, `{"Name":"stream.bytes","Value":"1MB","Profile":"none","Served":true%s}`, c.removes)
		})
		code, out, stderr := command(t, h, strings.NewReader(c.answer), strings.Fields(c.line)...)
		if code != c.code || calls != c.calls || !strings.Contains(out+stderr, c.want) {
			t.Errorf("%s (%q): %d, %d calls, %q, %q", c.line, c.answer, code, calls, out, stderr)
		}
	}
}

// Taking a limit back may make a smaller one hold, and asks then, too.
func TestLimitWhoseResetRemoves(t *testing.T) {
	for _, c := range []struct {
		line, removes, answer string
		code, calls           int
		want                  string
	}{
		{"limit reset stream.bytes --stream garden", `,"Removes":40,"RemovesBytes":2000000`, "no\n", exitFailed, 1, "With stream.bytes 1MB for the stream garden, 40 fragments, 2.0 MB, go now"},
		{"limit reset", `,"Removes":40,"RemovesBytes":2000000`, "yes\n", exitOK, 2, "Take back what is set?"},
		{"limit reset stream.bytes", "", "", exitOK, 2, "for the account"},
		{"limit reset --yes", `,"Removes":40`, "", exitOK, 1, "for the account"},
		{"limit reset PutMedia.sessions", "", "", exitOK, 1, "for the account"},
	} {
		calls := 0
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			fmt.Fprintf(w, `{"Limits":[{"Name":"stream.bytes","Value":"1MB","Profile":"none","Served":true%s}]}`, c.removes)
		})
		code, out, stderr := command(t, h, strings.NewReader(c.answer), strings.Fields(c.line)...)
		if code != c.code || calls != c.calls || !strings.Contains(out+stderr, c.want) {
			t.Errorf("%s (%q): %d, %d calls, %q, %q", c.line, c.answer, code, calls, out, stderr)
		}
	}
}

// A hold on a stream that stores nothing warns.
func TestHoldOfWhatIsNotStored(t *testing.T) {
	const hold = `{"Hold":3,"StreamName":"garden","From":"1970-01-01T00:00:00Z","To":"9999-12-31T23:59:59.999Z","Clock":"server","NotStored":true}`
	for line, answer := range map[string]string{"hold add garden": hold, "hold list garden": `{"Holds":[` + hold + `]}`} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })
		if code, _, stderr := command(t, h, nil, strings.Fields(line)...); code != exitOK || !strings.Contains(stderr, "retention of 0") {
			t.Errorf("%s: %d, %q", line, code, stderr)
		}
	}
}
