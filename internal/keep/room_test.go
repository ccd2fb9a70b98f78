package keep

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/disk"
)

// What a disk is short of is told before anything is removed, with what would be.
func TestExamineFree(t *testing.T) {
	data, warm := t.TempDir(), t.TempDir()
	if told := ExamineFree(data, warm, archive.FreeDisk{}); told != nil {
		t.Error(told)
	}
	free, _, err := (disk.System{}).Free(data)
	if err != nil {
		t.Fatal(err)
	}
	if told := ExamineFree(data, "", archive.FreeDisk{Bytes: free / 2}); told != nil {
		t.Error(told)
	}
	want := archive.FreeDisk{Bytes: free + 8<<30} // others may write or remove meanwhile
	if told := ExamineFree(data, warm, want); len(told) != 2 || !strings.Contains(told[0], "so nothing is removed") {
		t.Error(told)
	}
	segments := filepath.Join(data, "archive", "segments")
	if err := os.MkdirAll(segments, 0o700); err != nil {
		t.Fatal(err)
	}
	sparse := filepath.Join(segments, "000000000001.seg")
	if err := errors.Join(os.WriteFile(sparse, nil, 0o600), os.Truncate(sparse, 15<<30)); err != nil {
		t.Fatal(err)
	}
	if told := ExamineFree(data, "", want); len(told) != 1 || !strings.Contains(told[0], "the next look removes about ") {
		t.Error(told)
	}
}

// A reserve that is there is no matter, one without room is.
func TestExamineReserve(t *testing.T) {
	data := t.TempDir()
	free, total, err := (disk.System{}).Free(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := ExamineReserve(data, 0); err != nil {
		t.Error(err)
	}
	if err := ExamineReserve(data, 1<<12); err != nil {
		t.Error(err)
	}
	if err := ExamineReserve(data, total); !errors.Is(err, ErrNeverFits) {
		t.Error(err)
	}
	if much := total/2 - 1; 2*much > free+1<<30 {
		if err := ExamineReserve(data, much); err == nil || errors.Is(err, ErrNeverFits) {
			t.Error(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(data, "archive"), 0o700), os.WriteFile(filepath.Join(data, "archive", "reserve"), make([]byte, 4096), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := ExamineReserve(data, 4096); err != nil {
		t.Error(err)
	}
}
