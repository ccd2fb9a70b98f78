package main

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// version is the version of the module, for a User-Agent and one line of help.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}

// build says everything that the program knows about where it comes from. The go command
// writes it into the program; nothing is passed in at link time.
func build() string {
	commit, date, changed := "unknown", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value
			case "vcs.time":
				date = " of " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					changed = " with changes"
				}
			}
		}
	}
	return strings.Join([]string{"millrace " + version(), "commit " + commit + date + changed,
		runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}, "\n")
}
