package wire

import (
	"fmt"
	"sort"
)

// sizeRule bounds the number of elements; max 0 = unbounded.
type sizeRule struct{ min, max int }

func (r sizeRule) check(n int) *CheckError {
	size := fmt.Sprintf("of size %d", n)
	switch {
	case n < r.min:
		return broken(size, "Member must have length greater than or equal to %d", r.min)
	case r.max > 0 && n > r.max:
		return broken(size, "Member must have length less than or equal to %d", r.max)
	}
	return nil
}

// textList is a list of strings.
type textList struct {
	p    *[]string
	size sizeRule
	item *textRule
}

func (l textList) present() bool { return *l.p != nil }

func (l textList) check() *CheckError {
	if e := l.size.check(len(*l.p)); e != nil {
		return e
	}
	for i, s := range *l.p {
		if e := l.item.check(s); e != nil {
			return e.in(index(i))
		}
	}
	return nil
}

func (l textList) decode(raw []byte) *CheckError {
	*l.p = []string{}
	return elements(raw, func(value []byte) *CheckError {
		s, e := l.item.decode(value)
		*l.p = append(*l.p, s)
		return e
	})
}

func (l textList) append(b []byte, _ bool) []byte {
	b = append(b, '[')
	for i, s := range *l.p {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// textMap is a map from strings to strings.
type textMap struct {
	p          *map[string]string
	size       sizeRule
	key, value *textRule
}

func (m textMap) present() bool { return *m.p != nil }

func (m textMap) check() *CheckError {
	if e := m.size.check(len(*m.p)); e != nil {
		return e
	}
	for _, k := range m.keys() {
		if e := m.key.check(k); e != nil {
			e.Rule = "Map keys must satisfy constraint: [" + e.Rule + "]"
			return e
		}
		if e := m.value.check((*m.p)[k]); e != nil {
			return e.in("[" + shorten(k) + "]")
		}
	}
	return nil
}

func (m textMap) keys() []string {
	keys := make([]string, 0, len(*m.p))
	for k := range *m.p {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func (m textMap) decode(raw []byte) *CheckError {
	if raw[0] != '{' {
		return broken(quoted(kindOf(raw)), "Member must be an object")
	}
	*m.p = map[string]string{}
	return members(raw, func(name string, value []byte) *CheckError {
		s, e := m.value.decode(value)
		(*m.p)[name] = s
		return e.in("[" + shorten(name) + "]")
	})
}

func (m textMap) append(b []byte, _ bool) []byte {
	b = append(b, '{')
	for i, k := range m.keys() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		b = appendString(b, (*m.p)[k])
	}
	return append(b, '}')
}

// pointer is *T when that is a shape.
type pointer[T any] interface {
	*T
	Shape
}

// one is a member that is a structure.
type one[T any, P pointer[T]] struct{ p **T }

func structure[T any, P pointer[T]](p **T) value { return one[T, P]{p} }

func (o one[T, P]) present() bool      { return *o.p != nil }
func (o one[T, P]) check() *CheckError { return checkFields(P(*o.p)) }

func (o one[T, P]) decode(raw []byte) *CheckError {
	if raw[0] != '{' {
		return broken(quoted(kindOf(raw)), "Member must be an object")
	}
	*o.p = new(T)
	return decodeFields(raw, P(*o.p))
}

func (o one[T, P]) append(b []byte, nulls bool) []byte { return appendFields(b, P(*o.p), nulls) }

// many is a list of structures.
type many[T any, P pointer[T]] struct {
	p    *[]T
	size sizeRule
}

func structures[T any, P pointer[T]](p *[]T, size sizeRule) value { return many[T, P]{p, size} }

func (l many[T, P]) present() bool { return *l.p != nil }

func (l many[T, P]) check() *CheckError {
	if e := l.size.check(len(*l.p)); e != nil {
		return e
	}
	for i := range *l.p {
		if e := checkFields(P(&(*l.p)[i])); e != nil {
			return e.in(index(i))
		}
	}
	return nil
}

func (l many[T, P]) decode(raw []byte) *CheckError {
	*l.p = []T{}
	return elements(raw, func(value []byte) *CheckError {
		if value[0] != '{' {
			return broken(quoted(kindOf(value)), "Member must be an object")
		}
		var item T
		e := decodeFields(value, P(&item))
		*l.p = append(*l.p, item)
		return e
	})
}

func (l many[T, P]) append(b []byte, nulls bool) []byte {
	b = append(b, '[')
	for i := range *l.p {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFields(b, P(&(*l.p)[i]), nulls)
	}
	return append(b, ']')
}

// alwaysNull is a member that the real service sends without ever filling it.
type alwaysNull struct{}

func (alwaysNull) present() bool                  { return false }
func (alwaysNull) check() *CheckError             { return nil }
func (alwaysNull) decode([]byte) *CheckError      { return nil }
func (alwaysNull) append(b []byte, _ bool) []byte { return append(b, "null"...) }

func index(i int) string { return fmt.Sprintf("[%d]", i) }
