package kvs

import (
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const last = math.MaxInt64

// numbers are two that real services gave (wire-media section 4.1), and small ones.
var numbers = map[string]FragmentNumber{
	"91343852333201155253387957310212774485145176370": {3983001, 1600995182282, 244336946},
	"91343852333181481915235394203149336554319348843": {10002, 1597730851403, 29066347},
	"91343852333181432387730302044767688728495783936": {},
	"91343852333181432387730302044767688728495783937": {0, 0, 1},
	"91343852333181432387730302044767688728764219392": {0, 1, 0},
	"91343852333181432392682062201909209828092280832": {1, 0, 0},
}

// wireForm is 2^156 + n*2^92 + ms*2^28 + random, as wire-media section 6 has it.
func wireForm(n, ms int64, random uint32) string {
	v := new(big.Int).Lsh(big.NewInt(1), 156)
	v.Add(v, new(big.Int).Lsh(big.NewInt(n), 92))
	v.Add(v, new(big.Int).Lsh(big.NewInt(ms), 28))
	return v.Add(v, big.NewInt(int64(random))).String()
}

func TestFragmentNumbers(t *testing.T) {
	for text, number := range numbers {
		if got := number.String(); got != text {
			t.Errorf("%+v is written %s, want %s", number, got, text)
		}
		if got, ok := ParseFragmentNumber(text); got != number || !ok {
			t.Errorf("%s is %+v, %v; want %+v", text, got, ok, number)
		}
		if got, ok := ParseFragmentNumber("000" + text); got != number || !ok {
			t.Errorf("with zeros before, %s is %+v, %v; want %+v", text, got, ok, number)
		}
	}
	if got := string(FragmentNumber{N: 1}.Append([]byte("n="))); got != "n="+wireForm(1, 0, 0) {
		t.Error(got)
	}
	if got := (FragmentNumber{N: 1, Random: RandomMask + 2}).String(); got != wireForm(1, 0, 1) {
		t.Errorf("more than 28 random bits change the rest: %s", got)
	}
}

// TestForeignFragmentNumbers: a number that was never given is a position all the same.
func TestForeignFragmentNumbers(t *testing.T) {
	greatest := FragmentNumber{last, last, RandomMask}
	plus := func(text string, n int64, bits uint) string {
		v, _ := new(big.Int).SetString(text, 10)
		return v.Add(v, new(big.Int).Lsh(big.NewInt(n), bits)).String()
	}
	for name, c := range map[string]struct {
		text string
		want FragmentNumber
	}{
		"zero":                          {"0", FragmentNumber{}},
		"one":                           {"1", FragmentNumber{}},
		"one below the smallest":        {plus(wireForm(0, 0, 0), -1, 0), FragmentNumber{}},
		"the greatest":                  {wireForm(last, last, RandomMask), greatest},
		"one above the greatest":        {plus(wireForm(last, last, RandomMask), 1, 0), greatest},
		"a counter of 64 bits":          {plus(wireForm(last, 0, 0), 1, 92), greatest},
		"another digit":                 {"9" + strings.Repeat("9", 47), greatest},
		"128 digits":                    {strings.Repeat("9", 128), greatest},
		"a time of 64 bits":             {plus(wireForm(5, last, 0), 1, 28), FragmentNumber{5, last, RandomMask}},
		"a time of 64 bits, all of one": {plus(wireForm(6, 0, 0), -1, 0), FragmentNumber{5, last, RandomMask}},
	} {
		if got, ok := ParseFragmentNumber(c.text); got != c.want || !ok {
			t.Errorf("%s: %+v, %v; want %+v", name, got, ok, c.want)
		}
	}
	for _, text := range []string{"", " ", "-1", "+1", "1 ", " 1", "1.0", "1e3", "0x1", "1_000", "\u0661", "nine", "1\n", strings.Repeat("1", 129)} {
		if got, ok := ParseFragmentNumber(text); ok {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// TestOrder: numbers, their texts and their parts all have one order.
func TestOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	// 2^60 fragments keep the number at 47 digits.
	some := func() int64 { return random.Int64() >> (3 + random.IntN(60)) }
	all := slices.Collect(func(yield func(FragmentNumber) bool) {
		for _, n := range numbers {
			if !yield(n) {
				return
			}
		}
		for range 500 {
			n := FragmentNumber{N: some(), Server: Millis(some()), Random: uint32(some()) & RandomMask}
			for _, n := range []FragmentNumber{n, {n.N, n.Server, n.Random ^ 1}, {n.N, n.Server ^ 1, n.Random}, {n.N ^ 1, n.Server, n.Random}} {
				if !yield(n) {
					return
				}
			}
		}
	})
	for i, a := range all {
		b := all[random.IntN(len(all))]
		if i+1 < len(all) && i%2 == 0 {
			b = all[i+1]
		}
		order := cmp.Compare(a.String(), b.String())
		if a.Less(b) != (order < 0) || b.Less(a) != (order > 0) {
			t.Fatalf("%+v and %+v: Less says %v and %v, their texts %d", a, b, a.Less(b), b.Less(a), order)
		}
		if text := a.String(); len(text) != 47 || text != wireForm(a.N, int64(a.Server), a.Random) {
			t.Fatalf("%+v is written %s", a, text)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(10, func() { b = numbers["91343852333201155253387957310212774485145176370"].Append(b[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParseFragmentNumber: digits and nothing else are a position; what this server
// could have given comes back as it was; and positions have the order of the digits.
func FuzzParseFragmentNumber(f *testing.F) {
	for text := range numbers {
		f.Add(text, "91343852333201155253387957310212774485145176370")
	}
	f.Add("0", strings.Repeat("9", 128))
	f.Add("", "-1")
	f.Fuzz(func(t *testing.T, one, two string) {
		a, ok := ParseFragmentNumber(one)
		if digits := len(one) > 0 && len(one) <= 128 && strings.Trim(one, "0123456789") == ""; ok != digits {
			t.Fatalf("%q: %v", one, ok)
		}
		if !ok {
			return
		}
		if again, ok := ParseFragmentNumber(a.String()); again != a || !ok || a.N < 0 || a.Server < 0 || a.Random > RandomMask {
			t.Fatalf("%q is %+v, then %+v", one, a, again)
		}
		b, ok := ParseFragmentNumber(two)
		if !ok {
			return
		}
		x, _ := new(big.Int).SetString(one, 10)
		y, _ := new(big.Int).SetString(two, 10)
		if order := x.Cmp(y); order < 0 && b.Less(a) || order > 0 && a.Less(b) || order == 0 && a != b {
			t.Fatalf("%q is %+v, %q is %+v", one, a, two, b)
		}
	})
}
