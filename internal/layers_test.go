package house

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// floor is how high in the house a package stands. Imports go down only.
type floor int

const (
	public  floor = iota - 1 // importable from outside: the standard library, each other, the arrows and the outsiders below
	bytes0                   // bytes and words: no state
	state1                   // each owns its tables or objects; none imports another
	work2                    // sessions
	doors3                   // the only code that sees requests and wire shapes
	frame4                   // assembly
	command                  // programs
)

// floors lists every package. A new one is one line here.
var floors = map[string]floor{
	"mkv":      public,
	"sigv4":    public,
	"producer": public,
	"consumer": public,

	"signaling": public,

	"internal":                     bytes0, // these tests
	"internal/kvs":                 bytes0,
	"internal/wire":                bytes0,
	"internal/wire/gen":            bytes0,
	"internal/wire/model":          bytes0,
	"internal/client":              bytes0,
	"internal/clock":               bytes0,
	"internal/policy":              bytes0,
	"internal/policy/policytest":   bytes0,
	"internal/manual":              bytes0,
	"internal/fault":               bytes0,
	"internal/metrics":             bytes0,
	"internal/notify":              bytes0,
	"internal/db":                  bytes0,
	"internal/disk/disktest":       bytes0,
	"internal/journal":             bytes0,
	"internal/disk":                bytes0,
	"internal/keyfile":             bytes0,
	"internal/keyring":             bytes0,
	"internal/keyring/keyringtest": bytes0,
	"internal/segment":             bytes0,
	"internal/staging":             bytes0,
	"internal/recall":              bytes0,
	"internal/query":               bytes0,
	"internal/tally":               bytes0,
	"internal/frames":              bytes0,
	"internal/flac":                bytes0,
	"internal/remux":               bytes0,
	"internal/remux/remuxtest":     bytes0,
	"internal/codec":               bytes0,
	"internal/mp4":                 bytes0,
	"internal/segment/segmenttest": bytes0,
	"internal/db/dbtest":           bytes0,
	"internal/mediatest":           bytes0,
	"internal/pagetest":            bytes0,
	"internal/devicetest":          bytes0,
	"internal/spelling":            bytes0,
	"internal/iam/naming":          bytes0,
	"internal/permission":          bytes0,
	"internal/relay/stun":          bytes0,
	"internal/relay/guard":         bytes0,
	"internal/relay/logbook":       bytes0,
	"internal/relay/datagram":      bytes0,
	"internal/relay/credential":    bytes0,
	"internal/relay/peers":         bytes0,
	"internal/signal":              bytes0,
	"internal/sdp":                 bytes0,

	"internal/catalog":             state1,
	"internal/catalog/channels":    state1,
	"internal/live":                state1,
	"internal/archive":             state1,
	"internal/archive/crashtest":   state1,
	"internal/archive/archivetest": state1,
	"internal/iam":                 state1,
	"internal/iam/directory":       state1,
	"internal/iam/temporary":       state1,
	"internal/quota":               state1,
	"internal/rejection":           state1,
	"internal/certs":               state1,
	"internal/sessions":            state1,
	"internal/seal":                state1,

	"internal/authority":     work2,
	"internal/hub":           work2,
	"internal/ingest":        work2,
	"internal/ingest/lint":   work2,
	"internal/keep":          work2,
	"internal/playback":      work2,
	"internal/playback/cut":  work2,
	"internal/playback/clip": work2,
	"internal/demo":          work2,
	"internal/backup":        work2,
	"internal/rtc":           work2,
	"internal/rekey":         work2,
	"internal/inspect":       work2,
	"internal/playback/hls":  work2,
	"internal/playback/dash": work2,
	"internal/relay":         work2,
	"internal/relay/probe":   work2,

	"internal/api":            doors3,
	"internal/api/admin":      doors3,
	"internal/api/video":      doors3,
	"internal/api/media":      doors3,
	"internal/api/archived":   doors3,
	"internal/api/clips":      doors3,
	"internal/api/sessionurl": doors3,
	"internal/api/play":       doors3,
	"internal/api/watch":      doors3,
	"internal/api/token":      doors3,
	"internal/api/identity":   doors3,
	"internal/api/login":      doors3,
	"internal/api/signaling":  doors3,

	"internal/api/admin/presence":    doors3,
	"internal/api/admin/allocations": doors3,

	"internal/config":      frame4,
	"internal/server/turn": frame4,
	"internal/server":      frame4,

	"internal/server/datadir": frame4,

	"cmd/millrace": command,

	"deploy/release": command,
}

// arrows are imports that the floors would forbid, with the reason.
var arrows = map[string]string{
	"producer -> internal/kvs":    "the SDK packages speak the dictionary",
	"producer -> internal/wire":   "generated shapes of the calls they make",
	"producer -> internal/client": "one way to call an operation",
	"consumer -> internal/kvs":    "the SDK packages speak the dictionary",
	"consumer -> internal/wire":   "generated shapes of the calls they make",
	"consumer -> internal/client": "one way to call an operation",

	"signaling -> internal/wire":   "generated shapes of the calls it makes",
	"signaling -> internal/client": "one way to call an operation",
}

// outsiders are the imports of public packages that belong to others, with the reason: who
// imports us gets them, too.
var outsiders = map[string]string{
	"signaling -> github.com/coder/websocket": "the connection is a websocket",
}

// maxInternalImports is how many of our own packages one may know, below assembly.
const maxInternalImports = 7

// crowded lists packages that know more, with the reason.
var crowded = map[string]string{
	"internal/api":     "takes every call through all its steps, each of which another package knows",
	"internal/archive": "puts segments, their keys, tombstones and the index together",
	"internal/ingest":  "between producers, memory, limits and the archive, it alone sees each frame and fills the frame table",
}

func checkFloors(t *tree, floors map[string]floor, arrows map[string]string) (broken []string) {
	seen := map[string]bool{}
	for _, p := range t.sorted() {
		from, ok := floors[p.path]
		if !ok {
			broken = append(broken, p.path+": is on no floor; add a line to floors in internal/layers_test.go")
			continue
		}
		for _, i := range p.imports() {
			to, ours := strings.CutPrefix(i, module)
			switch {
			case from == public && !ours && !standard(i) && outsiders[p.path+" -> "+i] == "":
				broken = append(broken, fmt.Sprintf("%s: is public and may not import %s", p.path, i))
			case ours:
				arrow := p.path + " -> " + to
				seen[arrow] = true
				if arrows[arrow] == "" && !allowed(p.path, from, to, floors[to]) {
					broken = append(broken, arrow+": goes up, or to a neighbour")
				}
			}
		}
	}
	for arrow := range arrows {
		from, _, _ := strings.Cut(arrow, " -> ")
		if t.packages[from] != nil && !seen[arrow] && floors[from] != public {
			broken = append(broken, arrow+": is listed but no longer there")
		}
	}
	return broken
}

// allowed says whether the floors permit an import.
func allowed(fromPath string, from floor, toPath string, to floor) bool {
	switch {
	case strings.HasSuffix(toPath, "test"):
		return strings.HasSuffix(fromPath, "test") // made for tests, used by tests
	case to == public:
		return true
	case from == public:
		return false
	case from == to:
		return from == bytes0 || from == frame4 || path.Dir(fromPath) == toPath
	}
	return to < from
}

// standard says whether an import path belongs to the standard library.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func checkImportCount(t *tree, floors map[string]floor, exceptions map[string]string) (broken []string) {
	for _, p := range t.sorted() {
		ours := slices.DeleteFunc(p.imports(), func(i string) bool { return !strings.HasPrefix(i, module) })
		many := len(ours) > maxInternalImports && floors[p.path] < frame4
		switch {
		case many && exceptions[p.path] == "":
			broken = append(broken, fmt.Sprintf("%s: imports %d of our packages, at most %d", p.path, len(ours), maxInternalImports))
		case !many && exceptions[p.path] != "":
			broken = append(broken, p.path+": needs no exception for its imports any more")
		}
	}
	return broken
}

func TestImportsGoDown(t *testing.T) { report(t, checkFloors(project(t), floors, arrows)) }

func TestPackagesKnowFewOthers(t *testing.T) {
	report(t, checkImportCount(project(t), floors, crowded))
}
