package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/client"
)

// small is a server whose data are on a file system of 96 MiB. It is mounted in a name
// space of the server's own, so that it goes with the process, whatever happens.
func small(t *testing.T) (s *server, disk string) {
	t.Helper()
	disk = t.TempDir()
	s = newServer(t, "--data", filepath.Join(disk, "data"))
	script := `mount -t tmpfs -o size=320m millrace-e2e "$0" && exec "$@"`
	args := append([]string{"--mount", "sh", "-c", script, disk}, s.command.Args...)
	if os.Getuid() != 0 {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	env := s.command.Env
	s.command = exec.Command("unshare", args...)
	s.command.Env = env
	s.launch(t)
	s.out.wait(t, "Millrace serves")
	// What the server sees at that path, seen from here.
	disk = filepath.Join("/proc", fmt.Sprint(s.command.Process.Pid), "root", disk)
	s.data = filepath.Join(disk, "data")
	s.await(t)
	return s, disk
}

// fill writes a file until the disk is full.
func fill(t *testing.T, disk string) (filler string) {
	t.Helper()
	filler = filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		_, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			t.Fatal(err)
		}
	}
	return filler
}

// When the disk is full fragments fail with 5001 and the server lives on: it answers, hands
// out what it has, and stores again as soon as there is room.
func TestAFullDisk(t *testing.T) {
	s, disk := small(t)
	s.create(t, "garden")
	big := func(second int64) []byte { return cluster(second*1000, 20, 50_000, uint64(second)) }
	sent := [][]byte{big(0), big(1)}
	numbers := s.put(t, "garden", sent...)

	open := s.open(t, "garden")
	open.send(t, head(), big(10))
	open.send(t, big(11)) // its beginning ends the one before
	numbers = append(numbers, open.await(t, client.Persisted).Number)
	sent = append(sent, big(10))
	filler := fill(t, disk)
	open.send(t, big(12))
	if a := open.await(t, client.Failed); a.ErrorID != 5001 || a.ErrorCode != "ARCHIVAL_ERROR" {
		t.Fatalf("acknowledged with %s, want 5001", a.Raw)
	}
	alive(t, s)
	refused := s.attempt(t, big(20), big(21))
	if n := persisted(refused); len(n) > 0 {
		t.Errorf("fragments %v are PERSISTED on a full disk", n)
	}
	answer := s.caller(t).stream(t, "GetMediaForFragmentList", object{"StreamName": "garden", "Fragments": numbers})
	sameClusters(t, all(t, answer), sent)
	alive(t, s)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "fragments are stored again", func() error {
		again := [][]byte{big(30), big(31)}
		if n := persisted(s.attempt(t, again...)); len(n) == len(again) {
			numbers, sent = append(numbers, n...), append(sent, again...)
			return nil
		}
		return errors.New("not yet")
	})
	for _, n := range numbers {
		if n == "" {
			t.Fatal("a fragment has no number")
		}
	}
	answer = s.caller(t).stream(t, "GetMediaForFragmentList", object{"StreamName": "garden", "Fragments": numbers})
	sameClusters(t, all(t, answer), sent)
	s.caller(t).must(t, "CreateStream", object{"StreamName": "another"}, nil)
}

// alive fails the test unless the server answers.
func alive(t *testing.T, s *server) {
	t.Helper()
	resp, err := http.Get(s.http + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	s.caller(t).must(t, "DescribeStream", object{"StreamName": "garden"}, nil)
	s.caller(t).must(t, "ListStreams", object{}, nil)
}

// attempt sends clusters in one session that may fail in any documented way and returns
// the acknowledgements.
func (s *server) attempt(t *testing.T, clusters ...[]byte) []client.Ack {
	t.Helper()
	body := bytes.NewReader(append(head(), bytes.Join(clusters, nil)...))
	up, err := s.client(t).PutMedia(t.Context(), client.PutMediaRequest{StreamName: "garden", TimecodeType: client.Relative, ProducerStart: began, Body: body})
	if err != nil {
		if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Status < 500 {
			t.Errorf("PutMedia: %v", err)
		}
		return nil
	}
	session := &session{up: up}
	acks := session.rest(t)
	_ = up.Close()
	for _, a := range acks {
		if a.Type == client.Failed && a.ErrorID != 5001 {
			t.Errorf("acknowledged with %s, want 5001", a.Raw)
		}
	}
	return acks
}
