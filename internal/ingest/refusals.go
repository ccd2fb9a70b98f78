package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// refusals counts what a session was refused, for one line of the log however many
// fragments there were.
type refusals struct {
	codes map[Code]int
	first string
}

func (r *refusals) add(a Ack) {
	if r.codes == nil {
		r.codes, r.first = map[Code]int{}, a.why
	}
	r.codes[a.Code]++
}

// String lists the codes in order, each with its count.
func (r *refusals) String() string {
	var all []string
	for _, c := range slices.Sorted(maps.Keys(r.codes)) {
		all = append(all, fmt.Sprintf("%d:%d", int(c), r.codes[c]))
	}
	return strings.Join(all, " ")
}
