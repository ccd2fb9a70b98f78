package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/mediatest"
)

// watched is a server with a listener for measurements, and its URL.
func watched(t *testing.T, args ...string) (s *server, watch string) {
	t.Helper()
	s = serve(t, append([]string{"--metrics", "127.0.0.1:0"}, args...)...)
	return s, "http://" + s.out.wait(t, `listener=metrics address=(\S+)`)
}

// fetch gets a page; header is "Name: value" or empty.
func fetch(t *testing.T, url, header string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// read decodes lines of JSON.
func read[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var v T
		if err := d.Decode(&v); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, v)
	}
}

// What the commands print of streams, sessions and limits, as far as it matters here.
type (
	streamUsage struct {
		StreamName     string
		StreamARN      string
		RetentionHours int
		Bytes          int64
		Fragments      int64
		Oldest, Newest *struct {
			FragmentNumber                     string
			ServerTimestamp, ProducerTimestamp time.Time
		}
		BytesPerSecond float64
	}
	openSession struct {
		StreamName, Operation, RequestId, Client, UserAgent, AccessKey, LastAck string
		Bytes, Persisted, Failed                                                int64
		BytesPerSecond                                                          float64
	}
	limitInForce struct{ Name, Value, From string }
)

// usage says what streams keep as list does, fragment by fragment, also after a restart,
// and only to their account.
func TestUsage(t *testing.T) {
	s := serve(t)
	file := temporary(t, "clip.mkv")
	if err := os.WriteFile(file, mediatest.Bytes("gstreamer-h264-aac"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, s.variables(), program(t), "put", "garden", file, "--create", "--start-time", began.Format("2006-01-02T15:04:05.999Z"))
	s.create(t, "empty")
	numbers := s.put(t, "empty", seconds(3, 0)...)
	s.create(t, "really-empty")

	check := func(s *server, live bool) {
		t.Helper()
		all := read[streamUsage](t, run(t, s.variables(), program(t), "usage", "--json"))
		if len(all) != 3 || all[0].StreamName != "empty" || all[1].StreamName != "garden" || all[2].Fragments != 0 || all[2].Oldest != nil {
			t.Fatalf("%+v", all)
		}
		listed := strings.Split(strings.TrimSpace(run(t, s.variables(), program(t), "list", "garden", "--json")), "\n")
		garden := all[1]
		first, last := garden.Oldest, garden.Newest
		if garden.Fragments != int64(len(listed)) || !strings.Contains(listed[0], first.FragmentNumber) || !strings.Contains(listed[len(listed)-1], last.FragmentNumber) {
			t.Errorf("%+v, %d fragments are listed", garden, len(listed))
		}
		if !first.ProducerTimestamp.Equal(began) || garden.Bytes < 10_000 || garden.RetentionHours == 0 {
			t.Errorf("%+v, began %v", garden, first.ProducerTimestamp)
		}
		if all[0].Fragments != 3 || all[0].Newest.FragmentNumber != numbers[2] {
			t.Errorf("%+v, want 3 fragments up to %s", all[0], numbers[2])
		}
		if (garden.BytesPerSecond > 0) != live {
			t.Errorf("%v bytes a second came in", garden.BytesPerSecond)
		}
		table := run(t, s.variables(), program(t), "usage")
		if !strings.Contains(table, "\n3 streams: ") || !strings.Contains(table, fmt.Sprintf("in %d fragments", len(listed)+3)) {
			t.Errorf("the sums are missing:\n%s", table)
		}
	}
	check(s, true)
	if _, stderr, err := try(t, s.variables(), nil, program(t), "usage", "nobody"); err == nil || !strings.Contains(stderr, "ResourceNotFoundException") {
		t.Errorf("%v %s", err, stderr)
	}
	s.stop(t)
	next := s.again(t)
	check(next, false)
	next.caller(t).must(t, "DeleteStream", object{"StreamARN": read[streamUsage](t, run(t, next.variables(), program(t), "usage", "garden", "--json"))[0].StreamARN}, nil)
	if left := read[streamUsage](t, run(t, next.variables(), program(t), "usage", "--json")); len(left) != 2 {
		t.Errorf("%+v", left)
	}
}

// top shows who sends and who reads, under the names of the log.
func TestTop(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	producer := s.open(t, "garden")
	producer.send(t, head())
	for _, c := range seconds(3, 0) {
		producer.send(t, c)
	}
	producer.await(t, client.Persisted)
	answer := s.caller(t).stream(t, "GetMedia", object{"StreamName": "garden", "StartSelector": object{"StartSelectorType": "EARLIEST"}})
	if _, err := bufio.NewReader(answer).ReadByte(); err != nil {
		t.Fatal(err)
	}
	var open []openSession
	eventually(t, "both are shown", func() error {
		open = read[openSession](t, run(t, s.variables(), program(t), "top", "garden", "--json"))
		if len(open) != 2 || open[0].Bytes == 0 || open[1].Bytes == 0 || open[0].Persisted+open[1].Persisted == 0 {
			return fmt.Errorf("%+v", open)
		}
		return nil
	})
	for _, o := range open {
		if o.StreamName != "garden" || o.AccessKey != s.key || !strings.HasPrefix(o.Client, "127.0.0.1:") || o.UserAgent == "" || o.BytesPerSecond == 0 || o.RequestId == "" {
			t.Errorf("%+v", o)
		}
		if (o.Operation == "PutMedia") != (o.LastAck != "") || o.Failed != 0 {
			t.Errorf("%+v", o)
		}
	}
	if table := run(t, s.variables(), program(t), "top", "--once"); !strings.Contains(table, "1 producer in") || !strings.Contains(table, "1 consumer out") {
		t.Errorf("%s", table)
	}
	producer.end(t)
	_ = answer.Close()
	eventually(t, "the sessions are gone", func() error {
		if out := run(t, s.variables(), program(t), "top", "--json"); out != "" {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	for _, o := range open {
		s.out.wait(t, "id="+o.RequestId+" operation="+o.Operation)
	}
}

// A limit that is set for a stream holds at once, for that stream, and still after a
// restart, until it is reset.
func TestLimit(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	s.create(t, "yard")
	millrace := func(s *server, args ...string) string { return run(t, s.variables(), program(t), args...) }
	describe := func(s *server, stream string) (refused bool) {
		for range 5 {
			err := s.client(t).Admin(t.Context(), "ListUsage", object{"StreamName": stream}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if s.caller(t).call(t, "DescribeStream", object{"StreamName": stream}).Status != http.StatusOK {
				refused = true
			}
		}
		return refused
	}
	const name = "DescribeStream.stream-rate"
	if describe(s, "garden") {
		t.Error("refused without a limit")
	}
	if out := millrace(s, "limit", "set", name, "1/m", "--stream", "garden"); out != name+" is 1/m for the stream garden (profile: none).\n" {
		t.Errorf("%s", out)
	}
	if !describe(s, "garden") || describe(s, "yard") {
		t.Error("the limit does not hold, or for another stream as well")
	}
	s.stop(t)
	next := s.again(t)
	changed := read[limitInForce](t, millrace(next, "limit", "list", "garden", "--changed", "--json"))
	if len(changed) != 1 || changed[0].Name != name || changed[0].From != "stream" || changed[0].Value != "1/m" || !describe(next, "garden") {
		t.Errorf("after a restart: %+v", changed)
	}
	millrace(next, "limit", "reset", "--stream", "garden")
	if describe(next, "garden") {
		t.Error("the limit still holds")
	}
	if _, stderr, err := try(t, next.variables(), nil, program(t), "limit", "set", "DescribeStream.streamrate", "1/m"); err == nil || !strings.Contains(stderr, "did you mean "+name) {
		t.Errorf("%v %s", err, stderr)
	}
	if _, stderr, err := try(t, next.variables(), nil, program(t), "limit", "set", name, "fast"); err == nil || !strings.Contains(stderr, "5/s") {
		t.Errorf("%v %s", err, stderr)
	}
}

// A server is ready when it can store, not when its disk is full, and not from the moment
// on that it is asked to stop.
func TestReadyOnAFullDisk(t *testing.T) {
	s, disk := small(t)
	if status, text := fetch(t, s.http+"/readyz", ""); status != http.StatusOK || !strings.Contains(text, "ok archive\n") {
		t.Fatalf("%d %s", status, text)
	}
	filler := fill(t, disk)
	state := func(status int, says string) {
		t.Helper()
		eventually(t, says, func() error {
			if got, text := fetch(t, s.http+"/readyz", ""); got != status || !strings.Contains(text, says) {
				return fmt.Errorf("%d %s", got, text)
			}
			return nil
		})
	}
	state(http.StatusServiceUnavailable, "failed disk\n")
	if status, _ := fetch(t, s.http+"/healthz", ""); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	state(http.StatusOK, "ok disk\n")
}

func TestNotReadyWhileStopping(t *testing.T) {
	s, watch := watched(t)
	s.create(t, "garden")
	producer := s.open(t, "garden")
	producer.send(t, head())
	if status, text := fetch(t, watch+"/readyz", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop(t)
	}()
	// The producer's session takes its time to end; till then whoever asks is told.
	for told := false; !told; {
		status, text := fetch(t, watch+"/readyz", "")
		if told = status == http.StatusServiceUnavailable && text == "failed running\n"; status == 0 {
			t.Fatalf("the server was gone before it said that it stops: %s", text)
		}
	}
	<-stopped
}

// The id in an answer, in the log, and in an exemplar are the same; that of an
// acknowledgement is the PutMedia call's.
func TestExemplars(t *testing.T) {
	s, watch := watched(t)
	s.create(t, "garden")
	producer := s.open(t, "garden")
	producer.send(t, head(), seconds(1, 0)[0])
	producer.end(t)
	status, page := fetch(t, watch+"/metrics", "Accept: application/openmetrics-text; version=1.0.0")
	if status != http.StatusOK || !strings.HasSuffix(page, "# EOF\n") {
		t.Fatalf("%d %.300s", status, page)
	}
	find := func(series string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + series + `[^#\n]*# \{request_id="([^"]+)"\}`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no exemplar of %s:\n%s", series, page)
		}
		return m[1]
	}
	put := find(`millrace_ack_seconds_bucket\{type="PERSISTED"`)
	if again := find(`millrace_ack_seconds_bucket\{type="RECEIVED"`); again != put || put != producer.up.RequestID {
		t.Errorf("exemplars %s and %s, the answer had %s", put, again, producer.up.RequestID)
	}
	s.out.wait(t, "id="+put+" operation=PutMedia")
	s.out.wait(t, "id="+find(`millrace_request_seconds_bucket\{[^}]*operation="CreateStream"`)+" operation=CreateStream")
	if _, plain := fetch(t, watch+"/metrics", ""); strings.Contains(plain, "request_id") {
		t.Error("the plain text has exemplars")
	}
}

// Prometheus itself reads the alerts and every expression of the dashboard.
func TestPrometheusReadsAlertsAndDashboard(t *testing.T) {
	run(t, environment(), "promtool", "check", "rules", filepath.Join("..", "..", "deploy", "prometheus", "alerts.yml"))
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", "grafana", "millrace.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	rules := "groups:\n- name: dashboard\n  rules:\n"
	filled := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	for i, p := range dashboard.Panels {
		for j, q := range p.Targets {
			rules += fmt.Sprintf("  - record: panel:%d:%d\n    expr: %q\n", i, j, filled.Replace(q.Expr))
		}
	}
	file := temporary(t, "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, environment(), "promtool", "check", "rules", file)
}

// Prometheus reads what the server serves.
func TestPrometheusReadsTheMeasurements(t *testing.T) {
	s, watch := watched(t)
	s.create(t, "garden")
	s.put(t, "garden", seconds(2, 0)...)
	_, page := fetch(t, watch+"/metrics", "")
	if stdout, stderr, err := try(t, environment(), strings.NewReader(page), "promtool", "check", "metrics"); err != nil {
		t.Errorf("%v %s%s", err, stdout, stderr)
	}
}
