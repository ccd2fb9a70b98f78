package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// manifestVersion is the version of [Manifest] and of the layout around it.
const manifestVersion = 1

// Names in the folder of a backup.
const (
	manifestFile = "manifest.json"
	sumsFile     = "SHA256SUMS" // of all files, the manifest first; sha256sum -c reads it
)

// Manifest says what a backup holds. A folder with a manifest that fits its sum is a
// backup; without one it is what an interrupted run left.
type Manifest struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`       // the folder's name
	Source   string    `json:"source"`   // the installation, see catalog.Identity
	Program  string    `json:"program"`  // version of the program that made it
	Time     time.Time `json:"time"`     // what was durable before is in it
	Finished time.Time `json:"finished"` // when it became valid

	Streams   int64 `json:"streams"`
	Fragments int64 `json:"fragments"`
	Bytes     int64 `json:"bytes"` // of media

	HasKeyFile bool      `json:"has_key_file"`
	Files      []File    `json:"files"`    // in the folder of the backup
	Segments   []Segment `json:"segments"` // in the folder segments, shared by all backups
	Warnings   []string  `json:"warnings,omitempty"`
}

// File is a file of the data directory, all but its segments.
type File struct {
	Path   string      `json:"path"` // in the data directory and in the folder of the backup
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size"`
	SHA256 string      `json:"sha256"`
}

// Segment is the beginning of a segment's file: all that the index of the backup knows.
type Segment struct {
	Name   string `json:"name"` // in the archive's folder segments
	File   string `json:"file"` // in the folder segments beside the backups
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// size is the sum of all files.
func (m *Manifest) size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	for _, s := range m.Segments {
		n += s.Size
	}
	return n
}

// file finds a file by its path, nil if there is none.
func (m *Manifest) file(path string) *File {
	for i := range m.Files {
		if m.Files[i].Path == path {
			return &m.Files[i]
		}
	}
	return nil
}

// encode returns the manifest and the sums of everything, with names as seen from the
// folder of the backup.
func (m *Manifest) encode() (text, sums []byte, err error) {
	if text, err = json.MarshalIndent(m, "", " "); err != nil {
		return nil, nil, err
	}
	text = append(text, '\n')
	var b bytes.Buffer
	digest := sha256.Sum256(text)
	fmt.Fprintf(&b, "%x  %s\n", digest, manifestFile)
	for _, f := range m.Files {
		fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.Path)
	}
	for _, s := range m.Segments {
		fmt.Fprintf(&b, "%s  ../%s/%s\n", s.SHA256, poolDir, s.File)
	}
	return text, b.Bytes(), nil
}

// readManifest reads and checks the manifest in a folder.
func readManifest(folder string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(filepath.Join(folder, sumsFile))
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	first, _, _ := strings.Cut(string(sums), "\n")
	if first != hex.EncodeToString(digest[:])+"  "+manifestFile {
		return nil, fmt.Errorf("%s is damaged: it does not fit the first line of %s", filepath.Join(folder, manifestFile), sumsFile)
	}
	return parseManifest(text, filepath.Base(folder))
}

// parseManifest reads a manifest and makes sure that no name in it leads out of the
// folders it may name: a backup comes from another machine.
func parseManifest(text []byte, id string) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("manifest of backup %s: %w", id, err)
	}
	if m.Version > manifestVersion {
		return nil, fmt.Errorf("backup %s has format %d, this program knows %d: use a newer millrace", id, m.Version, manifestVersion)
	}
	if m.Version < 1 || m.ID != id {
		return nil, fmt.Errorf("manifest of backup %s says that it is %q, version %d", id, m.ID, m.Version)
	}
	var errs []error
	for _, f := range m.Files {
		if !filepath.IsLocal(f.Path) || f.Path == manifestFile || f.Path == sumsFile || !sane(f.Size, f.SHA256) {
			errs = append(errs, fmt.Errorf("manifest of backup %s: file %q cannot be", id, f.Path))
		}
	}
	for _, s := range m.Segments {
		if !isSegment(s) {
			errs = append(errs, fmt.Errorf("manifest of backup %s: segment %q cannot be", id, s.File))
		}
	}
	return m, errors.Join(errs...)
}

func sane(size int64, digest string) bool {
	b, err := hex.DecodeString(digest)
	return err == nil && len(b) == sha256.Size && size >= 0
}
