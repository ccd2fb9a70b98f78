package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/disk"
)

// ExamineFree says what the disks of a data directory and of its warm folder, "" = none, are
// short of what is to stay free, and what the archive would remove for it: a sentence for
// each disk that is. Other files on the disks count, so the archive may have to pay for
// them. What cannot be looked at is not told: others examine that.
func ExamineFree(data, warm string, want archive.FreeDisk) (told []string) {
	folders := []string{filepath.Join(data, "archive", "segments")}
	if warm != "" {
		folders = append(folders, filepath.Join(warm, "segments"))
	}
	for _, dir := range folders {
		free, total, err := (disk.System{}).Free(above(dir))
		lack := want.Lack(free, total)
		if err != nil || want == (archive.FreeDisk{}) || lack <= 0 {
			continue
		}
		text := fmt.Sprintf("%s are to stay free on the disk of %s, other files count, and %s are: ", inBytes(free+lack), dir, inBytes(free))
		switch media := mediaIn(dir); {
		case media < lack:
			text += fmt.Sprintf("the %s of media there are less than the %s that are lacking, so nothing is removed for it", inBytes(media), inBytes(lack))
		default:
			text += fmt.Sprintf("the next look removes about %s of media, the oldest of the %s there, unless too much of it is on hold", inBytes(lack), inBytes(media))
		}
		told = append(told, text)
	}
	return told
}

// ErrNeverFits marks the error of a reserve that has no room even on an empty disk.
var ErrNeverFits = errors.New("nothing would ever be stored")

// ExamineReserve looks whether a reserve of so many bytes can be made in a data directory,
// or is there.
func ExamineReserve(data string, reserve int64) error {
	dir := filepath.Join(data, "archive")
	free, total, err := (disk.System{}).Free(above(dir))
	if err != nil || reserve == 0 {
		return nil // others look at the directory
	}
	if 2*reserve > total {
		return fmt.Errorf("it is made when twice its size is free, and the disk of %s has %s: %w", dir, inBytes(total), ErrNeverFits)
	}
	if info, err := os.Stat(filepath.Join(dir, "reserve")); err == nil && info.Size() == reserve {
		return nil
	}
	if free < 2*reserve {
		return fmt.Errorf("it is made when twice its size, %s, is free, and %s are on the disk of %s: nothing is stored until then", inBytes(2*reserve), inBytes(free), dir)
	}
	return nil
}

// above returns a folder, or the nearest one above that exists.
func above(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// mediaIn returns how many bytes the files of a folder have.
func mediaIn(dir string) (bytes int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
	}
	return bytes
}

// inBytes writes a number of bytes for people.
func inBytes(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
