package config

import (
	"cmp"
	"slices"
	"strings"
)

// Mistake is one setting that cannot work.
type Mistake struct {
	Where   string // FILE:LINE, the variable or the flag; "" when the value is a default
	Setting string // its name, such as tls.cert; "" when it is about none alone
	Text    string // what is wrong and what would be right

	line int
}

// String is one line: where, which setting, what.
func (m Mistake) String() string {
	var b strings.Builder
	for _, part := range []string{m.Where, m.Setting} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + m.Text
}

// Mistakes are all that is wrong with the settings, so that nobody has to find them one
// after another. They are an error.
type Mistakes []Mistake

// Error returns one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].String()
	}
	return strings.Join(lines, "\n")
}

// err is m as an error, nil when there is none, in the order of the file.
func (m Mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	slices.SortStableFunc(m, func(a, b Mistake) int { return cmp.Compare(a.line, b.line) })
	return m
}

// nearest returns the candidate that was most likely meant by a word, "" if none is
// near enough.
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, least := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(word, strings.ToLower(c)); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, change or exchange with their
// neighbour that make a of b.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(row[j]+1, next[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
