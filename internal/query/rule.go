package query

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/kvs"
)

// Rule says what the value of a parameter may be. The zero value takes any text.
type Rule struct {
	Min, Max int            // of the length in characters, of the value if Number; Max 0 = none
	Pattern  *regexp.Regexp // of the whole text; nil = any
	OneOf    []string       // nil = any
	Number   bool           // a whole number
	Bool     bool           // true or false
}

// Check reports all breaches of the rules in one error of kind Validation, in the words of
// IAM, or nil. required are the names of the parameters that must be given; rules are those of
// the ones that may be.
func (f Form) Check(required []string, rules map[string]Rule) error {
	var wrong []string
	for _, name := range required {
		if !f.Has(name) {
			wrong = append(wrong, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", member(name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Values)) {
		rule, ok := rules[name]
		if !ok {
			continue
		}
		if must := rule.breach(f.Get(name)); must != "" {
			wrong = append(wrong, fmt.Sprintf("Value '%.100s' at '%s' failed to satisfy constraint: Member must %s", f.Get(name), member(name), must))
		}
	}
	return refusal(wrong)
}

func refusal(wrong []string) error {
	switch len(wrong) {
	case 0:
		return nil
	case 1:
		return kvs.Errorf(kvs.Validation, "1 validation error detected: %s", wrong[0])
	}
	return kvs.Errorf(kvs.Validation, "%d validation errors detected: %s", len(wrong), strings.Join(wrong, "; "))
}

// breach says what the value must be and is not, or nothing.
func (r Rule) breach(value string) string {
	switch {
	case r.Number:
		return r.misnumbered(value)
	case r.Bool:
		if value != "true" && value != "false" {
			return "be true or false"
		}
	case r.OneOf != nil:
		for _, one := range r.OneOf {
			if one == value {
				return ""
			}
		}
		return "satisfy enum value set: [" + strings.Join(r.OneOf, ", ") + "]"
	case utf8.RuneCountInString(value) < r.Min:
		return fmt.Sprintf("have length greater than or equal to %d", r.Min)
	case r.Max > 0 && utf8.RuneCountInString(value) > r.Max:
		return fmt.Sprintf("have length less than or equal to %d", r.Max)
	case r.Pattern != nil && !r.Pattern.MatchString(value):
		return "satisfy regular expression pattern: " + r.Pattern.String()
	}
	return ""
}

func (r Rule) misnumbered(value string) string {
	n, err := strconv.Atoi(value)
	switch {
	case err != nil:
		return "be a whole number"
	case n < r.Min:
		return fmt.Sprintf("have value greater than or equal to %d", r.Min)
	case r.Max > 0 && n > r.Max:
		return fmt.Sprintf("have value less than or equal to %d", r.Max)
	}
	return ""
}

// member is a parameter's name as messages of the original have it: userName.
func member(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(first)) + name[size:]
}

// Int is a number that [Form.Check] let pass, otherwise what it is when it is absent.
func (f Form) Int(name string, absent int) int {
	if n, err := strconv.Atoi(f.Get(name)); err == nil {
		return n
	}
	return absent
}

// Bool reports whether a parameter is true.
func (f Form) Bool(name string) bool { return f.Get(name) == "true" }
