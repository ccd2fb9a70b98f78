package policytest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

func (s statement) conditions() bool {
	c, _ := s.member["Condition"].(map[string]any)
	for operator, keys := range c {
		for key, wanted := range keys.(map[string]any) {
			if !s.condition(operator, s.q.Keys[strings.ToLower(key)], list(wanted)) {
				return false
			}
		}
	}
	return true
}

func (s statement) condition(operator string, have []string, wanted []any) bool {
	set, base, ok := strings.Cut(operator, ":")
	if !ok {
		set, base = "", operator
	}
	base, exists := strings.CutSuffix(base, "IfExists")
	if base == "Null" {
		for _, w := range wanted {
			if strings.EqualFold(fmt.Sprint(w), fmt.Sprint(len(have) == 0)) {
				return true
			}
		}
		return false
	}
	positive := strings.Replace(base, "Not", "", 1)
	negated := positive != base
	if negated && s.member["Effect"] == "Allow" {
		for _, w := range wanted {
			if _, known := s.fill(fmt.Sprint(w), false); !known {
				return false
			}
		}
	}
	if len(have) == 0 {
		return exists || set == "ForAllValues" || set == "" && negated
	}
	good := 0
	for _, h := range have {
		match := false
		for _, w := range wanted {
			match = match || s.compare(positive, h, fmt.Sprint(w))
		}
		if match != negated {
			good++
		}
	}
	if set == "ForAllValues" || set == "" && negated {
		return good == len(have)
	}
	return good > 0
}

// compare asks one operator without Not about one value and one wish.
func (s statement) compare(operator, have, wish string) bool {
	filled, known := s.fill(wish, operator == "StringLike" || strings.HasPrefix(operator, "Arn"))
	switch {
	case strings.HasPrefix(operator, "Numeric"):
		return ordered(operator[len("Numeric"):], number(have), number(wish))
	case strings.HasPrefix(operator, "Date"):
		return ordered(operator[len("Date"):], seconds(have), seconds(wish))
	case !known:
		return false
	}
	switch operator {
	case "StringEquals":
		return have == plain(filled)
	case "StringEqualsIgnoreCase":
		return strings.EqualFold(have, plain(filled))
	case "StringLike":
		return wild(filled, []rune(have))
	case "ArnEquals", "ArnLike":
		return arnLike(filled, have)
	case "Bool":
		h := strings.ToLower(have)
		return (h == "true" || h == "false") && h == strings.ToLower(plain(filled))
	case "BinaryEquals":
		h, err := base64.StdEncoding.DecodeString(have)
		w, _ := base64.StdEncoding.DecodeString(wish)
		return err == nil && bytes.Equal(h, w)
	case "IpAddress":
		return inside(have, wish)
	}
	panic(operator)
}

func inside(have, wish string) bool {
	ip := net.ParseIP(have)
	if _, block, err := net.ParseCIDR(wish); err == nil {
		return ip != nil && block.Contains(ip)
	}
	return ip != nil && ip.Equal(net.ParseIP(wish))
}

// ordered compares by the end of an operator's name; nil is no value.
func ordered(relation string, a, b *big.Rat) bool {
	if a == nil || b == nil {
		return false
	}
	order := a.Cmp(b)
	switch relation {
	case "Equals":
		return order == 0
	case "LessThan":
		return order < 0
	case "LessThanEquals":
		return order <= 0
	case "GreaterThan":
		return order > 0
	case "GreaterThanEquals":
		return order >= 0
	}
	panic(relation)
}

func number(s string) *big.Rat {
	if s == "" || strings.Trim(s, "-+.eE0123456789") != "" {
		return nil
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	return r
}

var layouts = []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"}

// seconds since 1970 of a date.
func seconds(s string) *big.Rat {
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			r := big.NewRat(int64(t.Nanosecond()), 1e9)
			return r.Add(r, new(big.Rat).SetInt64(t.Unix()))
		}
	}
	return number(s)
}
