package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	const second = "2030-01-01T00:00:01Z"
	for text, want := range map[string]string{ // after a real second
		"2030-01-01T00:00:00Z":      second,
		"2030-01-01":                second,
		"2030-01-01T01:00:00+01:00": second,
		"2030-01-01@60":             "2030-01-01T00:01:00Z",
		"2030-01-01@0":              "2030-01-01T00:00:00Z",
		"2030-01-01@0.5":            "2030-01-01T00:00:00.5Z",
		"2030-01-01@10x":            "2030-01-01T00:00:10Z",
		"@3600":                     "2000-01-01T01:00:00Z", // where synctest begins
		"+48h":                      "2000-01-03T00:00:01Z",
		"-24h@2":                    "1999-12-31T00:00:02Z",
		"8999-12-31@10000":          "8999-12-31T02:46:40Z",
	} {
		synctest.Test(t, func(t *testing.T) {
			c, err := Parse(text, nil)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := c.Now().UTC().Format(time.RFC3339Nano); got != want {
				t.Errorf("%s: shows %s after a second, want %s", text, got, want)
			}
		})
	}
	for _, text := range []string{"", "soon", "@", "@fast", "@-1", "@NaN", "@1e9", "2030-13-01", "1960-01-01", "9999-01-01", "+1", "2030-01-01@"} {
		if c, err := Parse(text, nil); err == nil {
			t.Errorf("%q was read as %v", text, c.Now())
		}
	}
}

// A clock goes on from what it shows when its speed changes, and keeps its speed when it
// is moved.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Parse("2030-01-01@60", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ set, want string }{
			{"@1", "2030-01-01T00:01:00Z"},
			{"@0", "2030-01-01T00:01:01Z"},
			{"+24h", "2030-01-02T00:01:01Z"},
			{"2031-01-01@2", "2031-01-01T00:00:00Z"},
			{"@1", "2031-01-01T00:00:02Z"},
		} {
			time.Sleep(time.Second)
			if err := c.Set(step.set); err != nil {
				t.Fatal(err)
			}
			if got := c.Now().Format(time.RFC3339); got != step.want {
				t.Errorf("after %s it shows %s, want %s", step.set, got, step.want)
			}
		}
		before := c.Now()
		if err := c.Set("2040-01-01@fast"); err == nil || !c.Now().Equal(before) || c.Speed() != 1 {
			t.Errorf("a mistake moved the clock: %v, %v", err, c.Now())
		}
		// Far beyond what can be told in nanoseconds it stops.
		if err := c.Set("8999-01-01@10000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * 365 * 24 * time.Hour)
		if y := c.Now().Year(); y != maxYear {
			t.Errorf("the year is %d", y)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("2030-01-01T00:00:00Z@10")
	f.Add("+1h30m")
	f.Add("@0")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text, nil)
		if err != nil {
			return
		}
		if y := c.Now().Year(); y < 1969 || y > maxYear {
			t.Errorf("%q shows the year %d", text, y)
		}
	})
}

// A clock that was set begins again as it was made.
func TestRestart(t *testing.T) {
	for text, want := range map[string]string{ // after two real seconds
		"":              "2000-01-01T00:00:02Z", // the real time, where synctest begins
		"+48h":          "2000-01-03T00:00:02Z", // its distance, not its moment
		"@60":           "2000-01-01T00:00:02Z",
		"2030-01-01@60": "2030-01-01T00:00:00Z",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := New(nil)
			if text != "" {
				var err error
				if c, err = Parse(text, nil); err != nil {
					t.Fatal(err)
				}
			}
			speed := c.Speed()
			time.Sleep(time.Second)
			if err := c.Set("2040-01-01@7"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			c.Restart()
			if got := c.Now().UTC().Format(time.RFC3339Nano); got != want || c.Speed() != speed {
				t.Errorf("%q: shows %s at speed %g, want %s at %g", text, got, c.Speed(), want, speed)
			}
		})
	}
}
