package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// A million fragments of 100 streams.
const (
	millionStreams = 100
	millionEach    = 10_000
	years          = 87_600 // hours of retention: the directory is used for long
)

// millionForDev returns a data directory of a development server with a million
// fragments, stored by the archive itself.
func millionForDev(b *testing.B) string {
	b.Helper()
	return kept(b, "million-dev", func(dir string) {
		layOut(b, dir)
		store(b, dir, createStreams(b, dir, "million-%02d", millionStreams))
	})
}

// millionFragments returns a copy of [millionForDev] for servers of the other kind: a
// directory that one of those had is closed to development servers.
func millionFragments(b *testing.B) string {
	b.Helper()
	source := millionForDev(b)
	return kept(b, "million", func(dir string) {
		if out, err := exec.Command("cp", "-a", source, dir).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	})
}

// keptVersion is part of the names of kept directories; it changes with the format.
const keptVersion = "3"

// kept returns a directory of the user's cache directory, made once. Those of other formats
// are removed.
func kept(b *testing.B, name string, fill func(dir string)) string {
	b.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	base := filepath.Join(cache, "millrace-bench", name)
	dir := base + "-" + keptVersion
	whole := dir + ".whole"
	if _, err := os.Stat(whole); err == nil {
		return dir
	}
	old, err := filepath.Glob(base + "-[0-9]*")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range old {
		if err := os.RemoveAll(name); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Dir(dir), 0o700)); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	fill(dir)
	b.Logf("%s made within %v", dir, time.Since(start))
	if err := os.WriteFile(whole, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	return dir
}

// layOut lets a server make its directory.
func layOut(b *testing.B, dir string) {
	b.Helper()
	c := config.Default()
	c.ForDev()
	c.Data, c.HTTP, c.HTTPS = dir, "127.0.0.1:0", ""
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := server.New(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	cancel()
	if err := s.Run(ctx); err != nil {
		b.Fatal(err)
	}
}

func createStreams(b *testing.B, dir, name string, n int) (ids []kvs.StreamID) {
	b.Helper()
	ctx := context.Background()
	rows, err := db.Open(ctx, db.Options{Path: filepath.Join(dir, "catalog.db"), Durable: true, Migrations: catalog.Migrations()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	c, err := catalog.Open(ctx, catalog.Options{DB: rows, Region: "us-east-1"})
	if err != nil {
		b.Fatal(err)
	}
	// Those who write at the same time share a commit.
	ids = make([]kvs.StreamID, n)
	var g errgroup.Group
	g.SetLimit(256)
	for i := range n {
		g.Go(func() error {
			s, err := c.Create(ctx, catalog.NewStream{Account: config.DevAccount, Name: fmt.Sprintf(name, i), Retention: years})
			ids[i] = s.ID
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return ids
}

// openKeys opens the data keys of a server's directory.
func openKeys(b *testing.B, dir string) *keyring.Ring {
	b.Helper()
	own, err := keyfile.Read(filepath.Join(dir, server.KeyFile))
	if err != nil {
		b.Fatal(err)
	}
	wrapping, err := keyring.NewLocal(own, nil)
	if err != nil {
		b.Fatal(err)
	}
	keys, err := keyring.Open(keyring.Options{Path: filepath.Join(dir, "archive", "keys"), Provider: wrapping,
		Owner: func(context.Context, kvs.StreamID) (keyring.Owner, error) {
			return keyring.Owner{Account: config.DevAccount}, nil
		}})
	if err != nil {
		b.Fatal(err)
	}
	return keys
}

// store appends small fragments of a second each to all streams in turn.
func store(b *testing.B, dir string, ids []kvs.StreamID) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	keys := openKeys(b, dir)
	defer keys.Close()
	a, err := archive.Open(ctx, archive.Options{Dir: filepath.Join(dir, "archive"), Keys: keys,
		Policy: func(context.Context, kvs.StreamID) (archive.Policy, error) { return archive.Policy{Hours: years}, nil }})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	header := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
	header = mkv.AppendTracks(header, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
	frame := mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Key: true}, make([]byte, 100))
	begin := kvs.MillisOf(time.Now()) - millionEach*1000
	sealing := map[kvs.StreamID]segment.DataKey{}
	for _, id := range ids {
		if sealing[id], err = keys.Current(ctx, id, begin); err != nil {
			b.Fatal(err)
		}
	}
	var failed atomic.Int64
	flight := make(chan struct{}, 4096)
	for n := range int64(millionEach) {
		at := begin + kvs.Millis(n)*1000
		body := net.Buffers{mkv.AppendClusterUnknown(nil, uint64(at)), frame}
		for _, id := range ids {
			flight <- struct{}{}
			f := kvs.Fragment{Stream: id, Number: kvs.FragmentNumber{N: n + 1, Server: at, Random: uint32(n)}, Producer: at, Duration: 1000,
				Size: int64(len(body[0]) + len(body[1]))}
			a.Append(archive.Record{Fragment: f, Key: sealing[f.Stream], Retention: years, Timecode: int64(at), Header: header, Body: body}, func(err error) {
				if err != nil {
					failed.Add(1)
				}
				<-flight
			})
		}
	}
	for range cap(flight) { // all were answered
		flight <- struct{}{}
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	if err := a.Close(); err != nil || failed.Load() > 0 {
		b.Fatalf("%d fragments failed; %v", failed.Load(), err)
	}
}

// list asks a development server for the first page of a stream's fragments.
func (p *process) list(b *testing.B) {
	b.Helper()
	body := fmt.Sprintf(`{"StreamName":"million-07","MaxResults":1000,"FragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":{"StartTimestamp":0,"EndTimestamp":%d}}}`, time.Now().Unix())
	r, err := http.NewRequest(http.MethodPost, p.url+"/listFragments", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}, Region: "us-east-1", Service: "kinesisvideo"}
	if err := signer.Sign(r, sigv4.PayloadHash([]byte(body))); err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || strings.Count(string(text), "FragmentNumber") != 1000 {
		b.Fatalf("%v %d %.300s", err, resp.StatusCode, text)
	}
}
