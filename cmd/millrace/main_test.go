package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/server"
)

// asProgram makes the test binary be the program.
const asProgram = "RUN_AS_MILLRACE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program runs the program without a server in its environment.
func program(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = []string{asProgram + "=1", "HOME=" + t.TempDir(), "GOCOVERDIR=" + t.TempDir()}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exited.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return code, out.String(), errs.String()
}

// Every command explains itself, with examples.
func TestHelp(t *testing.T) {
	for args, want := range map[string][]string{
		"--help":      {"Send Matroska", "Read media", "List the fragments"},
		"put --help":  {"Examples:", "millrace put holiday holiday.mkv --create"},
		"get --help":  {"Examples:", "millrace get demo | ffplay -"},
		"list --help": {"Examples:", "millrace list demo --json"},
		"help put":    {"millrace put holiday holiday.mkv --create"},
		"help":        {"Send Matroska"},
		"--version":   {"millrace "},
		"version":     {"millrace ", "\ncommit ", "\ngo1."},
	} {
		code, stdout, stderr := program(t, strings.Fields(args)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: code %d, %s", args, code, stderr)
		}
		for _, w := range want {
			if !strings.Contains(stdout, w) {
				t.Errorf("%s: %q is not in\n%s", args, w, stdout)
			}
		}
	}
}

// A wrong command line ends with code 2 and says what is wrong; a missing server is a
// failure and says what to export.
func TestUsage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clip.mkv")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		code   int
		stderr string
	}{
		"":                                              {exitUsage, "Run the server."},
		"help nosuch":                                   {exitUsage, "topics: configuration, "},
		"clock set -1h":                                 {exitFailed, "set the environment variables"},
		"limit set account.streams -1":                  {exitFailed, "set the environment variables"},
		"limit set account.streams -x":                  {exitUsage, "unknown flag -x"},
		"limit reset nosuch":                            {exitUsage, "millrace limit list shows them all"},
		"limit reset PutMedia.session":                  {exitUsage, "did you mean PutMedia.sessions?"},
		"serve --config nope.yml":                       {exitUsage, "--config: there is no file /"},
		"put":                                           {exitUsage, `expected "<stream> <file>"`},
		"put garden missing.mkv":                        {exitUsage, "<file>: there is no file /"},
		"put garden FILE --retention 90000":             {exitUsage, "0 to 87600 hours"},
		"put garden FILE --start-time yesterday":        {exitUsage, `"yesterday" is no time: want RFC 3339`},
		"get garden --start yesterday":                  {exitUsage, "NOW, EARLIEST or a fragment number"},
		"get garden --fragments=-1":                     {exitUsage, "cannot be negative"},
		"list garden --from 1700000000 --to 1600000000": {exitUsage, "--from is later than --to"},
		"list garden --from 1700000000000":              {exitUsage, "seconds are wanted, not milliseconds"},
		"list garden --clock moon":                      {exitUsage, `must be one of "server","producer"`},
		"list garden":                                   {exitFailed, "export AWS_ENDPOINT_URL=http://127.0.0.1:8080"},
		"list garden --endpoint http://h --region us-east-1": {exitFailed, "variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY\n"},
	} {
		code, _, stderr := program(t, strings.Fields(strings.ReplaceAll(args, "FILE", file))...)
		if code != want.code || !strings.Contains(stderr, want.stderr) {
			t.Errorf("millrace %s: code %d, want %d; %q is not in\n%s", args, code, want.code, want.stderr, stderr)
		}
	}
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]int64{
		"2026-01-02T15:04:05Z": 1767366245000, "2026-01-02T16:04:05.25+01:00": 1767366245250,
		"0": 0, "1767366245.5": 1767366245500,
	} {
		if got, err := parseMoment(text); err != nil || int64(got) != want {
			t.Errorf("%s is %d, want %d (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"", "now", "NaN", "-1", "Inf", "1767366245500", "2026-01-02"} {
		if got, err := parseMoment(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

// The root key stays, and what is said about a key names it.
func TestChangingKeys(t *testing.T) {
	dir := t.TempDir()
	rows, err := db.Open(t.Context(), db.Options{Path: filepath.Join(dir, "keys.db"), Migrations: iam.Migrations()})
	if err != nil {
		t.Fatal(err)
	}
	store, err := iam.Open(t.Context(), iam.Options{DB: rows, KeyFile: filepath.Join(dir, server.KeyFile)})
	if err != nil {
		t.Fatal(err)
	}
	root, err := store.Bootstrap(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"key delete " + root.ID: "key reset-root",
		"key disable NOPE":      "NOPE: there is no such access key",
	} {
		var errs bytes.Buffer
		code := run(t.Context(), append(strings.Fields(args), "--data", dir), stdio{out: &errs, err: &errs})
		stderr := errs.String()
		if code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, %q is not in %s", args, code, want, stderr)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"key", "list", "--data", dir}, stdio{out: &out, err: &out}); code != exitOK || !strings.Contains(out.String(), root.ID) {
		t.Errorf("code %d, the root key is not listed:\n%s", code, &out)
	}
}

// Keys are told apart by their notes; a table has a line for each, whatever a note says.
func TestNotesOfKeys(t *testing.T) {
	dir := t.TempDir()
	call := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := run(t.Context(), append(args, "--data", dir), stdio{out: &out, err: &errs})
		return code, out.String(), errs.String()
	}
	_, root, _ := call("init")
	id, _, _ := strings.Cut(strings.TrimPrefix(root, "AWS_ACCESS_KEY_ID="), "\n")
	if code, _, stderr := call("key", "create", "--note", "camera at the gate"); code != exitOK {
		t.Fatal(stderr)
	}
	if code, _, stderr := call("key", "create", "--note", "two\nlines"); code != exitFailed || !strings.Contains(stderr, "a note is one line") {
		t.Errorf("code %d: %s", code, stderr)
	}
	if _, table, _ := call("key", "list"); !strings.Contains(table, "NOTE") || !strings.Contains(table, "camera at the gate\n") || strings.Count(table, "\n") != 3 {
		t.Error(table)
	}
	_, lines, _ := call("key", "list", "--json")
	var key struct {
		AccessKeyID string `json:"AccessKeyId"`
		Active      bool
		LastUsed    *string
		Note        string
	}
	last := strings.Split(strings.TrimSpace(lines), "\n")
	if err := json.Unmarshal([]byte(last[len(last)-1]), &key); err != nil || len(last) != 2 || !key.Active || key.LastUsed != nil {
		t.Errorf("%v: %s", err, lines)
	}
	if strings.Contains(root, key.AccessKeyID) != (key.Note == "") {
		t.Errorf("%+v", key)
	}
	if _, _, stderr := call("key", "disable", id); !strings.Contains(stderr, "no root key is active") {
		t.Errorf("no warning: %s", stderr)
	}
	for _, other := range regexp.MustCompile(`AKIA\w+`).FindAllString(lines, -1) {
		if _, _, stderr := call("key", "disable", other); other != id && stderr != "" {
			t.Errorf("a warning about another key: %s", stderr)
		}
	}
}
