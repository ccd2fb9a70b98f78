package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
)

// Durations can be read in either format: with a unit in text, in seconds in JSON.
func TestDurationsInTheLog(t *testing.T) {
	for format, want := range map[string]string{"text": "took=34.291ms", "json": `"took":0.034291,"lag":{"most":2}`} {
		var b bytes.Buffer
		log, err := newLogger(&b, config.Log{Format: format, Level: "info", Var: new(slog.LevelVar)})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("request", "took", 34291*time.Microsecond, slog.Group("lag", "most", 2*time.Second))
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s lacks %s: %s", format, want, b.String())
		}
	}
}

// The log says at the start which program serves what.
func TestTheLogNamesWhatStarts(t *testing.T) {
	var b bytes.Buffer
	log, err := newLogger(&b, config.Log{Format: "json", Level: "info", Var: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Data = "millrace-data"
	noteStart(log, c)
	want, err := filepath.Abs(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Msg, Version, Data, Profile string }
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Msg != "starting" || got.Version != version() || got.Data != want || got.Profile != "open" {
		t.Errorf("%v: %s", err, b.String())
	}
}
