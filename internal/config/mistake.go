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
