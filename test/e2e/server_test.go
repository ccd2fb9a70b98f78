package e2e

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/sigv4"
)

var (
	binary = flag.String("binary", "../../bin/millrace", "the program under test")
	update = flag.Bool("update", false, "write the files in testdata")
)

const (
	region  = "us-east-1"
	account = "123456789012"
)

// patience is how long anything may take that should happen soon: long, because the
// machine may be slow, and never waited for when all is well.
const patience = 2 * time.Minute

// program is the absolute path of the binary under test.
func program(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(*binary)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("no program to test: %v; make e2e builds it", err)
	}
	return path
}

// environment is the environment of all programs that are started here: that of the test
// without what would send a client to another server or CA.
func environment(more ...string) []string {
	foreign := []string{"AWS_", "MILLRACE_", "SSL_CERT_", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
		"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(foreign, func(f string) bool { return strings.HasPrefix(v, f) })
	})
	return append(env, more...)
}

// server is a running program under test.
type server struct {
	https, http string // base URLs
	key, secret string // what to sign with
	token       string // session token of temporary credentials
	account     string
	data        string
	island      string  // file of the network in which its clients are, "" = that of the test
	out         *output // what it printed and logged
	command     *exec.Cmd
	gone        chan struct{} // closed when the process ended
	err         error         // how it ended, once gone
}

// serve starts a server with an account of its own and ends it with the test. args come
// after "serve"; the data directory is made unless they name one.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "millrace.yml")
	if err := os.WriteFile(config, []byte("account: \""+account+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveWith(t, config, args...)
}

// serveWith starts a server with the settings in a file.
func serveWith(t testing.TB, config string, args ...string) *server {
	t.Helper()
	s := newServer(t, append([]string{"--config", config}, args...)...)
	s.account = account
	s.start(t)
	return s
}

// newServer prepares a server without starting it.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{}
	if i := slices.Index(args, "--data"); i >= 0 {
		s.data = args[i+1]
	} else {
		s.data = filepath.Join(t.TempDir(), "data")
		args = append(args, "--data", s.data)
	}
	for _, listener := range []string{"--http", "--https"} {
		if !slices.Contains(args, listener) {
			args = append(args, listener, "127.0.0.1:0")
		}
	}
	s.command = exec.Command(program(t), append([]string{"serve"}, args...)...)
	s.command.Env = environment()
	return s
}

// start runs the process and waits until it serves.
func (s *server) start(t testing.TB) {
	t.Helper()
	s.launch(t)
	s.await(t)
}

// launch runs the process.
func (s *server) launch(t testing.TB) {
	t.Helper()
	s.out = newOutput()
	s.command.Stdout, s.command.Stderr = s.out, s.out
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	s.gone = make(chan struct{})
	go func() {
		s.err = s.command.Wait()
		s.out.close()
		close(s.gone)
	}()
	t.Cleanup(func() {
		s.kill()
		for _, bad := range []string{"DATA RACE", "panic"} { // -binary may name one built with -race
			if strings.Contains(s.out.text(), bad) {
				t.Errorf("the server's output mentions a %s:\n%s", bad, s.out.text())
			}
		}
		if t.Failed() {
			t.Logf("the server's output ended with:\n%s", s.out.tail(25))
		}
	})
}

// await waits until a launched server answers, and reads from its output what clients
// need.
func (s *server) await(t testing.TB) {
	t.Helper()
	said := func(pattern string) string { return s.out.wait(t, pattern) }
	text := said(`(?:endpoints|Millrace serves)\s+(https://\S+ and http://\S+)`)
	s.https, s.http, _ = strings.Cut(text, " and ")
	deadline := time.Now().Add(patience)
	for {
		resp, err := http.Get(s.http + "/healthz")
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v", err)
		}
		pause(20 * time.Millisecond)
	}
	if s.key == "" { // this must be a first start
		s.key, s.secret = said(`AWS_ACCESS_KEY_ID=(\S+)`), said(`AWS_SECRET_ACCESS_KEY=(\S+)`)
	}
}

// pause lets other processes go on between two looks at something.
func pause(d time.Duration) { <-time.After(d) }

// stop asks the server to end and waits for it.
func (s *server) stop(t testing.TB) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.gone:
	case <-time.After(patience):
		t.Fatal("the server did not end after SIGTERM")
	}
	if s.err != nil {
		t.Fatalf("the server ended with %v", s.err)
	}
}

// kill ends the server at once.
func (s *server) kill() {
	_ = s.command.Process.Kill()
	<-s.gone
}

// again starts a server with the same command line after the first has ended.
func (s *server) again(t testing.TB, more ...string) *server {
	t.Helper()
	next := &server{key: s.key, secret: s.secret, account: s.account, data: s.data}
	next.command = exec.Command(s.command.Path, append(slices.Clone(s.command.Args[1:]), more...)...)
	next.command.Env = s.command.Env
	next.start(t)
	return next
}

// ca is the path of the CA file, ca.pem.
func (s *server) ca() string { return filepath.Join(s.data, "ca.pem") }

// roots are the certificates a client of s trusts.
func (s *server) roots(t testing.TB) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(s.ca())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("ca.pem holds no certificate")
	}
	return pool
}

// client is our own client, over TLS.
func (s *server) client(t testing.TB) *client.Client {
	t.Helper()
	return &client.Client{Endpoint: s.https, Region: region, HTTP: client.NewHTTP(s.roots(t)),
		Credentials: sigv4.Credentials{AccessKey: s.key, Secret: s.secret, SessionToken: s.token}}
}

// variables are what a client needs in its environment.
func (s *server) variables() []string {
	var token []string
	if s.token != "" {
		token = []string{"AWS_SESSION_TOKEN=" + s.token}
	}
	return environment(append(token, "AWS_ACCESS_KEY_ID="+s.key, "AWS_SECRET_ACCESS_KEY="+s.secret, "AWS_DEFAULT_REGION="+region, "AWS_REGION="+region,
		"AWS_ENDPOINT_URL="+s.https, "AWS_CA_BUNDLE="+s.ca(), "REQUESTS_CA_BUNDLE="+s.ca(), "CURL_CA_BUNDLE="+s.ca(),
		"SSL_CERT_FILE="+s.ca(), "NODE_EXTRA_CA_CERTS="+s.ca(), "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")...)
}

// run runs a program to its end and returns what it printed. It fails the test when the
// program fails.
func run(t testing.TB, env []string, name string, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, err := try(t, env, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// try runs a program to its end, however that comes.
func try(t testing.TB, env []string, in io.Reader, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var o, e strings.Builder
	c := exec.CommandContext(ctx, name, args...)
	c.Env, c.Stdin, c.Stdout, c.Stderr = env, in, &o, &e
	err = c.Run()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return o.String(), e.String(), err
}

// output collects what a process prints.
type output struct {
	mu    sync.Mutex
	b     strings.Builder
	ended bool
	more  chan struct{} // closed and replaced when there is more
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(p)
	close(o.more)
	o.more = make(chan struct{})
	return len(p), nil
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	close(o.more)
	o.more = make(chan struct{})
}

func (o *output) look() (text string, ended bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.ended, o.more
}

func (o *output) text() string { text, _, _ := o.look(); return text }

// wait waits for a line that the pattern matches and returns its last submatch.
func (o *output) wait(t testing.TB, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		text, ended, more := o.look()
		s := bufio.NewScanner(strings.NewReader(text))
		for s.Scan() {
			if m := re.FindStringSubmatch(s.Text()); m != nil {
				return m[len(m)-1]
			}
		}
		if ended {
			t.Fatalf("the process ended without %q:\n%s", pattern, o.tail(40))
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("no output like %q:\n%s", pattern, o.tail(40))
		}
	}
}

// tail is the end of the output.
func (o *output) tail(lines int) string {
	all := strings.Split(strings.TrimRight(o.text(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// eventually asks until the answer is nil.
func eventually(t testing.TB, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		pause(50 * time.Millisecond)
	}
}

// temporary is a new path in a directory of the test.
func temporary(t testing.TB, name string) string { return filepath.Join(t.TempDir(), name) }

// parallel calls f for 0 to n-1, so many at a time, and returns an error of one of them.
func parallel(atOnce, n int, f func(i int) error) error {
	var wg sync.WaitGroup
	next := make(chan int)
	failed := make(chan error, atOnce)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	close(failed)
	return <-failed
}
