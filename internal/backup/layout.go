package backup

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Places in a data directory that a backup knows by name.
const (
	catalogFile = "catalog.db"
	keysFile    = "keys.db"
	indexFile   = "archive/index.db"
	segmentsDir = "archive/segments"
	formatFile  = "format"
	lockFile    = "lock"
	keyFile     = "key-file"

	// StateFile notes in the data directory when the last backup of it was made.
	StateFile = "backup.json"
)

// treatment is what a backup does with a file of the data directory.
type treatment int

const (
	unknown  treatment = iota // nobody said; left out with a warning
	index                     // the archive's index, taken first
	media                     // of segments, shared between backups
	database                  // taken at one moment with [db.Snapshot]
	plain                     // small and replaced as a whole if ever: copied
	late                      // a journal: copied behind the media, so that it is younger than they are
	secret                    // copied only when asked for
	rebuilt                   // what it holds is in another file, or is made again
	excluded                  // must not be in a backup
)

// rules say what becomes of each file, by its path in the data directory; the first that
// matches counts. A test walks a used data directory and wants each file here: whoever
// adds a file to it decides here whether a backup needs it, and why not.
var rules = []struct {
	pattern string // of path.Match
	how     treatment
	why     string
}{
	{".*", excluded, "a file that is being written and will be renamed"},
	{"acme/*/.*", excluded, "as above"},
	{"archive/.*", excluded, "as above"},
	{indexFile, index, "where each fragment is"},
	{segmentsDir + "/*.seg", media, "segments"},
	{catalogFile, database, "streams and the counters of their fragments"},
	{"*.db", database, "keys, limits and what else has rows"},
	{"*.db-wal", rebuilt, "the log of a database: a snapshot has it in"},
	{"*.db-shm", rebuilt, "shared memory of a database in use"},
	{"archive/*.db-wal", rebuilt, "as above"},
	{"archive/*.db-shm", rebuilt, "as above"},
	{"archive/keys", late, "the wrapped keys of media: those of all records that were copied"},
	{"archive/tombstones", late, "what is dead: also what died, or lost its bytes, while it was copied"},
	{"archive/scrub", excluded, "how far media were read again; a copy begins anew"},
	{"archive/reserve", excluded, "room for hard times; made again"},
	{segmentsDir + "/.*", excluded, "a segment that is being moved"},
	{formatFile, plain, "version of the layout"},
	{"rejections", plain, "what was refused lately"},
	{"rejections.new", excluded, "as a file that is being written"},
	{"token-key", plain, "clients go on with their lists, temporary credentials, logins and relays"},
	{"dev", plain, "says that only development servers had the directory, and so it is with a copy"},
	{"ca.pem", plain, "clients trust it"},
	{"ca.key", plain, "signs for ca.pem"},
	{"acme/*/*", plain, "the account and certificates at an authority that limits how often it gives new ones"},
	{keyFile, secret, "opens everything sealed in the other files"},
	{keyFile + ".next", excluded, "only while a rotation of the key file is under way, when no backup is made"},
	{"root-key", excluded, "the root key in plain text, for the first login; its sealed form is in " + keysFile},
	{lockFile, excluded, "belongs to the running server"},
	{ServingFile, excluded, "as above"},
	{StateFile, excluded, "tells of backups of this directory, not of a copy"},
	{"warm-folder", excluded, "where warm segments lie; a restore puts them into the data directory"},
	{"lost+found", excluded, "belongs to the file system"},
}

// treat looks a path up.
func treat(name string) treatment {
	for _, r := range rules {
		if ok, _ := path.Match(r.pattern, name); ok {
			return r.how
		}
	}
	return unknown
}

// survey lists the files of a data directory by what is done with them. Folders that no
// rule names are looked into.
func survey(data string) (map[treatment][]string, error) {
	found := map[treatment][]string{}
	err := filepath.WalkDir(data, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone since its folder was read
			}
			return err
		}
		name, err := filepath.Rel(data, file)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		how := treat(name)
		if e.IsDir() {
			if how == excluded {
				return fs.SkipDir
			}
			return nil
		}
		found[how] = append(found[how], name)
		return nil
	})
	// The catalog comes right behind the index, so that they are close in time.
	slices.SortFunc(found[database], func(a, b string) int {
		if a == catalogFile || b == catalogFile {
			return map[bool]int{true: -1, false: 1}[a == catalogFile]
		}
		return strings.Compare(a, b)
	})
	return found, err
}

// Unknown lists the files of a data directory that no backup knows what to do with.
func Unknown(data string) ([]string, error) {
	found, err := survey(data)
	return found[unknown], err
}

// inside says whether a path is a folder or lies in it, whatever links are on the way.
func inside(name, folder string) bool {
	rel, err := filepath.Rel(real(folder), real(name))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// real resolves the part of a path that exists.
func real(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		return resolved
	}
	if parent := filepath.Dir(abs); parent != abs {
		return filepath.Join(real(parent), filepath.Base(abs))
	}
	return abs
}

// exists says whether there is something of that name.
func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
