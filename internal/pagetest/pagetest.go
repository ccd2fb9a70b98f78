// Package pagetest compares pages of the documents that are written from the code with
// what the code says now.
package pagetest

import (
	"os"
	"testing"
)

// Current fails the test unless the file holds want; with update it writes the file
// instead, which is what make gen does.
func Current(t testing.TB, file, want string, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not current: run make gen", file)
	}
}
