package config

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/spelling"
)

// Keys are wrapping keys for streams that are created with a KmsKeyId.
type Keys struct {
	Files    map[string]string `yaml:"files"`    // key file by KmsKeyId
	Disabled []string          `yaml:"disabled"` // KmsKeyIds of keys that are switched off

	Provider keyring.Provider `yaml:"-"` // in place of key files, nil = none; for tests, never a setting
	Timeout  time.Duration    `yaml:"-"` // of a call to the provider, 0 = 5 s; for tests, never a setting
}

// check finds ids that mean nothing, or something else.
func (k *Keys) check() (wrong Mistakes) {
	add := func(name, text string) { wrong = append(wrong, Mistake{Setting: name, Text: text}) }
	for _, id := range slices.Sorted(maps.Keys(k.Files)) {
		switch {
		case keyring.IsOwn(id):
			add("keys.files."+id, "this id is the server's own key, which is made from key-file in the data directory")
		case len(id) > 2048:
			add("keys.files."+id, "an id has at most 2048 characters")
		case k.Files[id] == "":
			add("keys.files."+id, "name the key file; millrace key-file make FILE makes one")
		}
	}
	for _, id := range k.Disabled {
		if _, ok := k.Files[id]; !ok {
			text := "there is no such key in keys.files"
			if near := spelling.Nearest(id, slices.Sorted(maps.Keys(k.Files))); near != "" {
				text += "; did you mean " + near + "?"
			}
			add("keys.disabled", id+": "+text)
		}
	}
	return wrong
}
