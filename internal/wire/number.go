package wire

import (
	"math"
	"strconv"
)

// numberRule are the bounds of an integer, both inclusive.
type numberRule struct{ min, max int64 }

// number is an integer member. Any JSON number with a whole value is accepted: SDKs
// write 100, 100.0 and 1e2.
type number struct {
	p    **int64
	rule *numberRule
}

func (n number) present() bool { return *n.p != nil }

func (n number) check() *CheckError {
	switch v := **n.p; {
	case v < n.rule.min:
		return broken("'"+strconv.FormatInt(v, 10)+"'", "Member must have value greater than or equal to %d", n.rule.min)
	case v > n.rule.max:
		return broken("'"+strconv.FormatInt(v, 10)+"'", "Member must have value less than or equal to %d", n.rule.max)
	}
	return nil
}

func (n number) decode(raw []byte) *CheckError {
	if !isNumber(raw) {
		return broken(quoted(kindOf(raw)), "Member must be a number")
	}
	if v, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		*n.p = &v
		return nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < math.MinInt64 || f >= math.MaxInt64 {
		return broken(quoted(string(raw)), "Member must fit in 64 bits")
	}
	if f != math.Trunc(f) {
		return broken(quoted(string(raw)), "Member must be a whole number")
	}
	v := int64(f)
	*n.p = &v
	return nil
}

func (n number) append(b []byte, _ bool) []byte { return strconv.AppendInt(b, **n.p, 10) }

// boolean is a boolean member.
type boolean struct{ p **bool }

func (v boolean) present() bool      { return *v.p != nil }
func (v boolean) check() *CheckError { return nil }

func (v boolean) decode(raw []byte) *CheckError {
	b := raw[0] == 't'
	if !b && raw[0] != 'f' {
		return broken(quoted(kindOf(raw)), "Member must be true or false")
	}
	*v.p = &b
	return nil
}

func (v boolean) append(b []byte, _ bool) []byte { return strconv.AppendBool(b, **v.p) }
