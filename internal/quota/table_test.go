package quota

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestEveryRowIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Table() {
		switch {
		case seen[l.Name]:
			t.Errorf("%s: there twice", l.Name)
		case !strings.Contains(l.Name, "."):
			t.Errorf("%s: want subject.property", l.Name)
		case l.Breach == "" || l.Help == "" || l.Room == "":
			t.Errorf("%s: breach, help or room is missing: %+v", l.Name, *l)
		case l.Unit != Flag && l.AWS == 0 && (l.Section != "" || l.Operation != "" || l.Open != 0):
			t.Errorf("%s: no limit in the profile aws", l.Name)
		case l.Most > 0 && (l.Open == 0 || l.Open > l.Most || l.AWS > l.Most):
			t.Errorf("%s: more than can be served", l.Name)
		case l.Section == "" && l.Operation != "":
			t.Errorf("%s: no section of the sheet", l.Name)
		}
		seen[l.Name] = true
		if found, ok := Lookup(l.Name); !ok || found != l {
			t.Errorf("%s is not found by its name", l.Name)
		}
		for _, v := range []Value{l.Open, l.AWS} {
			if v == 0 && l.Most > 0 {
				continue
			}
			if back, err := l.Parse(l.Format(v)); err != nil || back != v {
				t.Errorf("%s: %v is written %s and read %v (%v)", l.Name, v, l.Format(v), back, err)
			}
		}
	}
	if _, ok := Lookup("PutMedia.session"); ok {
		t.Error("found what is not there")
	}
}

// The open profile keeps what bounds memory and work, and nothing else.
func TestTheOpenProfileProtectsTheServerOnly(t *testing.T) {
	var kept []string
	for _, l := range Table() {
		if l.Served() && l.Open != 0 {
			kept = append(kept, l.Name+" "+l.Format(l.Open))
		}
	}
	want := []string{
		"fragment.overlap on", "fragment.bytes 50MB", "fragment.duration 20s", "fragment.tracks 3", "GetMediaForFragmentList.fragments 1000", "ListFragments.results 1000",
		"buffer.bytes 200MB", "buffer.age 5m", "GetMedia.idle 3s", "GetHLSMediaPlaylist.fragments 5000", "GetDASHManifest.fragments 5000", "playback.live 30s",
		"fragment.metadata 10", "fragment.metadata-name 128B", "fragment.metadata-value 256B", "fragment.image-prefix 256B", "channel.tags 50", "stream.tags 50", "signaling.go-away 1m", "SendICECandidate.bytes 18KB", "SendSDPOffer.bytes 18KB", "SendSDPAnswer.bytes 18KB",
		"relay.credential-age 5m", "relay.allocations 50", "listener.strangers 1024",
	}
	if got := strings.Join(kept, ", "); got != strings.Join(want, ", ") {
		t.Errorf("got  %s\nwant %s", got, strings.Join(want, ", "))
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		text string
		want Value
		form string // "" = text
	}{
		{Number, "3", 3, ""}, {Number, " 3 ", 3, "3"}, {Number, "1000000000", 1e9, ""},
		{Size, "50MB", 50e6, ""}, {Size, "200 MiB", 200 << 20, "200MiB"}, {Size, "1000000", 1e6, "1MB"}, {Size, "1.5KB", 1500, ""}, {Size, "1234567", 1234567, "1234567B"}, {Size, "1GiB", 1 << 30, ""}, {Size, "1mb", 1e6, "1MB"}, {Size, "2.5 kB", 2500, "2.5KB"}, {Size, "3mib", 3 << 20, "3MiB"},
		{Frequency, "5/s", 5, ""}, {Frequency, "5", 5, "5/s"}, {Frequency, "60/m", 1, "1/s"}, {Frequency, "30/m", 0.5, "30/m"}, {Frequency, "1/h", 1.0 / 3600, ""}, {Frequency, "10000/s", 10000, ""}, {Frequency, "1/d", 1.0 / 86400, ""}, {Frequency, "24/d", 1.0 / 3600, "1/h"},
		{Throughput, "12.5MB/s", 12.5e6, ""}, {Throughput, "100Mbit/s", 12.5e6, "12.5MB/s"}, {Throughput, "7B/s", 7, ""}, {Throughput, "64kbit/s", 8000, "8KB/s"}, {Throughput, "100kB/s", 1e5, "100KB/s"}, {Throughput, "8mbit/s", 1e6, "1MB/s"},
		{Time, "45m", 2700, ""}, {Time, "1h30m", 5400, ""}, {Time, "24h", 86400, "24h"}, {Time, "60m", 3600, "1h"}, {Time, "200ms", 0.2, ""}, {Time, "20s", 20, ""}, {Time, "1h0m5s", 3605, ""}, {Time, "10m0s", 600, "10m"},
		{Flag, "on", 1, ""}, {Flag, "off", 0, ""},
	} {
		l := &Limit{Name: "x", Unit: c.unit}
		got, err := l.Parse(c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.text, got, err, c.want)
		}
		if c.form == "" {
			c.form = c.text
		}
		if form := l.Format(got); form != c.form {
			t.Errorf("%s is written %s, want %s", c.text, form, c.form)
		}
	}
}

// Values that nobody means are refused with what would be right: too small ones, too large
// ones, and numbers that are not written with digits.
func TestNonsenseIsRefused(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		text string
		says string
	}{
		{Number, "1000000001", "1 to 1000000000"}, {Number, "1e3", "a whole number such as 5"}, {Number, "-1", "a whole number such as 5"},
		{Size, "1e3B", "a size such as 50MB"}, {Size, "0.5B", "a size such as 50MB"}, {Size, "2000000GB", "1B to 100000GB"},
		{Frequency, "1e-300/s", "a frequency such as 5/s"}, {Frequency, "0.01/h", "1/d to 1000000/s"}, {Frequency, "2000000/s", "1/d to 1000000/s"},
		{Frequency, "0x1p-2/s", "a frequency such as 5/s"}, {Frequency, "inf/s", "a frequency such as 5/s"}, {Frequency, "/s", "a frequency such as 5/s"},
		{Throughput, "1e-300B/s", "a bandwidth such as 12.5MB/s"}, {Throughput, "0.9B/s", "1B/s to 1000GB/s"}, {Throughput, "0.007kbit/s", "1B/s to 1000GB/s"}, {Throughput, "2000GB/s", "1B/s to 1000GB/s"},
		{Time, "1ns", "1ms to 87600h"}, {Time, "999us", "1ms to 87600h"}, {Time, "87601h", "1ms to 87600h"}, {Time, "-5m", "a duration such as 45m"},
		{Frequency, "0/s", "write none for no limit"}, {Time, "0s", "write none for no limit"},
	} {
		l := &Limit{Name: "x", Unit: c.unit}
		if v, err := l.Parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), None) {
			t.Errorf("%s: %v, %v; want %s", c.text, v, err, c.says)
		}
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for u := Number; u <= Flag; u++ {
		l := &Limit{Name: "x", Unit: u}
		for range 2000 {
			v := Value(math.Trunc(math.Exp(rand.Float64() * 30)))
			switch u {
			case Flag:
				v = Value(rand.IntN(2))
			case Time: // hours at most
				v = Value(math.Mod(float64(v), 1e9)+1) / 1000
				v = Value(v.duration().Seconds())
			case Frequency:
				v /= 1000
			}
			if u != Flag {
				v = min(v, u.largest())
			}
			if back, err := l.Parse(l.Format(v)); err != nil || back != v {
				t.Fatalf("%s: %v is written %s and read %v (%v)", u, v, l.Format(v), back, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"5/s", "50MB", "45m", "none", "on", "12.5MB/s", "1e400B", "+Inf", "0x1p3/s"} {
		f.Add(uint8(len(text)), text)
	}
	f.Fuzz(func(t *testing.T, unit uint8, text string) {
		l := &Limit{Name: "x", Unit: Unit(unit % 6)}
		v, err := l.Parse(text)
		if err != nil {
			return
		}
		if back, err := l.Parse(l.Format(v)); err != nil || back != v {
			t.Errorf("%q is %v, written %s, read %v (%v)", text, v, l.Format(v), back, err)
		}
	})
}

// Whoever forgets the unit must not lose what is stored.
func TestStreamBytesNeedsAUnit(t *testing.T) {
	for text, good := range map[string]bool{"200": false, "200kB": false, "999999": false, "1MB": true, "200GB": true, "none": true} {
		if err := Check(StreamBytes.Name, text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
