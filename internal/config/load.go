package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/spelling"
)

// Sources are the places that settings come from, in rising precedence.
type Sources struct {
	Dev     bool              // begin with the settings of a development server
	File    string            // path of a YAML file, "" = none
	Environ []string          // NAME=VALUE, as of os.Environ
	Flags   map[string]string // value by name of the setting, such as log.level
}

// Origin says where the value of a setting came from.
type Origin struct {
	Kind  string // default, file, environment or flag
	Where string // FILE:LINE, the variable or the flag; "" for a default
	line  int
}

// Loaded are settings that were put together, with the origin of each.
type Loaded struct {
	Config
	Origins map[string]Origin // by name of the setting; those not in it are defaults
	Means   map[string]string // by name of the setting: what a value that stands for another means here
}

// Load puts the settings together and checks them. The error is [Mistakes] with all
// that is wrong in all sources, or that of reading the file; the settings that could be
// read are returned in either case.
func Load(s Sources) (Loaded, error) {
	l := Loaded{Config: Default(), Origins: map[string]Origin{}}
	if s.Dev {
		l.ForDev()
	}
	var wrong Mistakes
	if s.File != "" {
		r, err := l.read(s.File)
		if err != nil {
			return l, fmt.Errorf("settings: %w", err)
		}
		wrong = r.mistakes
		for name, line := range r.lines {
			l.Origins[name] = Origin{"file", r.at(line), line}
		}
	}
	wrong = append(wrong, l.environment(s.Environ)...)
	wrong = append(wrong, l.flags(s.Flags)...)
	return l, l.locate(wrong, l.check()).err()
}

// Examined adds to the mistakes of [Load] those that an examination of the machine
// found, each with the place of its setting.
func (l *Loaded) Examined(loading error, found Mistakes) error {
	wrong, ok := errors.AsType[Mistakes](loading)
	if loading != nil && !ok {
		return loading
	}
	return l.locate(wrong, found).err()
}

// locate joins mistakes to those known, but one for each setting.
func (l *Loaded) locate(known, found Mistakes) Mistakes {
	joined := slices.Clone(known)
	for _, m := range found {
		if !named(known, m.Setting) {
			o := l.origin(m.Setting)
			m.Where, m.line = o.Where, o.line
			joined = append(joined, m)
		}
	}
	return joined
}

// named reports whether a mistake of the setting is known: a value that could not be
// read need not be examined.
func named(m Mistakes, setting string) bool {
	return setting != "" && slices.ContainsFunc(m, func(m Mistake) bool { return m.Setting == setting })
}

// origin is where a setting, or one entry of one, came from.
func (l *Loaded) origin(name string) Origin {
	for {
		if o, ok := l.Origins[name]; ok {
			return o
		}
		i := strings.LastIndex(name, ".")
		if i < 0 {
			return Origin{Kind: "default"}
		}
		name = name[:i]
	}
}

// prefix begins the variables that are settings.
const prefix = "MILLRACE_"

// environment reads settings from variables: MILLRACE_TLS_CERT is tls.cert. A variable
// with the prefix that is no setting is a mistake.
func (l *Loaded) environment(environ []string) (wrong Mistakes) {
	known := l.settings()
	byVariable := map[string]setting{}
	for _, s := range known {
		byVariable[s.variable()] = s
	}
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		s, ok := byVariable[name]
		if !ok {
			wrong = append(wrong, Mistake{Where: name, Text: "this variable is no setting; unset it or correct its name" + suggestVariable(name, byVariable), line: afterFile})
			continue
		}
		wrong = append(wrong, l.put(s, text, Origin{"environment", name, afterFile})...)
	}
	return wrong
}

func suggestVariable(name string, known map[string]setting) string {
	near := spelling.Nearest(name[len(prefix):], shorten(slices.Sorted(maps.Keys(known))))
	if near == "" {
		return ""
	}
	return "; did you mean " + prefix + near + "?"
}

// shorten leaves out what all variables begin with: it would make them look alike.
func shorten(names []string) []string {
	for i := range names {
		names[i] = names[i][len(prefix):]
	}
	return names
}

// afterFile sorts mistakes of the environment and of flags behind those of the file.
const afterFile = 1 << 30

// flags reads the settings that were given on the command line.
func (l *Loaded) flags(flags map[string]string) (wrong Mistakes) {
	known := l.settings()
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		flag := "--" + strings.ReplaceAll(name, ".", "-")
		s, ok := find(known, name)
		if !ok {
			wrong = append(wrong, Mistake{Where: flag, Text: "there is no such setting" + suggest(known, name), line: afterFile})
			continue
		}
		wrong = append(wrong, l.put(s, flags[name], Origin{"flag", flag, afterFile})...)
	}
	return wrong
}

// put gives a setting the value of a text and remembers where that came from.
func (l *Loaded) put(s setting, text string, from Origin) Mistakes {
	names, err := s.set(text)
	for _, name := range names {
		l.Origins[name] = from
	}
	if err != nil {
		return Mistakes{{Where: from.Where, Setting: s.name, Text: err.Error(), line: from.line}}
	}
	return nil
}
