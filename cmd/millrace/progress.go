package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/producer"
)

// meterStep is how often the line on the terminal is written.
const meterStep = 250 * time.Millisecond

// meter shows on a terminal, in one line, how far a session is. Elsewhere it is silent.
type meter struct {
	bytes atomic.Int64 // read from the input

	w       io.Writer // nil = silent
	session *producer.Session
	begun   time.Time
	words   atomic.Pointer[string]
	quit    chan struct{}
	joined  sync.WaitGroup
}

// startMeter starts the line when w is a terminal.
func startMeter(w io.Writer, session *producer.Session) *meter {
	m := &meter{session: session, begun: time.Now(), quit: make(chan struct{})}
	if terminal(w) {
		m.w = w
		m.joined.Go(m.run)
	}
	return m
}

func (m *meter) run() {
	ticker := time.NewTicker(meterStep)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprint(m.w, "\r\x1b[K"+m.line())
		case <-m.quit:
			fmt.Fprint(m.w, "\r\x1b[K")
			return
		}
	}
}

// line is what is shown now.
func (m *meter) line() string {
	p := m.session.Progress()
	took := time.Since(m.begun)
	n := m.bytes.Load()
	line := fmt.Sprintf("%s  %.1f MB  %.1f Mbit/s  %s sent, %d durable", took.Round(time.Second),
		float64(n)/1e6, float64(n)*8/1e6/took.Seconds(), count(p.Sent, "fragment"), p.Done)
	if words := m.words.Load(); words != nil {
		line += "  " + *words
	}
	return line
}

// note adds words to the line.
func (m *meter) note(words string) { m.words.Store(&words) }

// stop removes the line.
func (m *meter) stop() {
	close(m.quit)
	m.joined.Wait()
}

// terminal says whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "" && os.Getenv("TERM") != "dumb"
}
