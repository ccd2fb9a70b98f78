package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/notify"
	"github.com/millrace/millrace/internal/server"
)

// supervise runs the server and tells the service manager, if there is one, that it
// serves, that it lives, and that it ends.
func supervise(ctx context.Context, srv *server.Server, manager *notify.Manager, log *slog.Logger) error {
	tell := telling(log)
	// The addresses are bound: who is told now and calls at once is served.
	tell(manager.Ready())
	defer context.AfterFunc(ctx, func() { tell(manager.Stopping()) })()
	// Signs of life go on while sessions end, until the process does.
	life, dead := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tell(manager.Watch(life, func(asked context.Context) error { return alive(ctx, asked, srv) }))
	}()
	err := srv.Run(ctx)
	dead()
	<-watched
	return err
}

// usable says what to do about a data directory that cannot be written.
func usable(data string, err error) error {
	wrong, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	if abs, e := filepath.Abs(data); e == nil && !strings.HasPrefix(wrong.Path, abs) && !strings.HasPrefix(abs, wrong.Path) {
		return err
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; give a directory that can be written: --data", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w for %s; run the server as the owner of the directory, or give another --data", err, whoami())
	}
	return err
}

// whoami is the user of this process.
func whoami() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprintf("the user number %d", os.Getuid())
	}
	return "the user " + u.Username
}

// telling returns what takes the outcome of telling the service manager something.
func telling(log *slog.Logger) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn("the service manager does not hear", "error", err)
		}
	}
}

// alive asks the server over its own listener, as a client would. While it ends, no
// longer listening is no illness.
func alive(running, asked context.Context, srv *server.Server) error {
	if running.Err() != nil {
		return nil
	}
	_, err := ask(asked, local(), first(srv.URL("http"), srv.URL("https"))+"/healthz")
	return err
}

// announceRoot hands over the root key of a first start. A journal keeps what it is told
// and shows it to others, so there the key goes into a file.
func announceRoot(w io.Writer, data string, k *iam.RootKey) {
	fmt.Fprintf(w, "\nThis is the first start. ")
	path := filepath.Join(data, server.RootKeyFile)
	kept := journal(w, os.Getenv("JOURNAL_STREAM"))
	if kept {
		if err := writeKey(path, k); err != nil { // better seen by some than lost
			fmt.Fprintf(w, "There is no file for the root key: %v. ", err)
			kept = false
		}
	}
	if kept {
		fmt.Fprintf(w, "The root key of account %s is in\n\n  %s\n\nRead it, keep it, and delete the file.\n", k.Account, path)
	} else {
		fmt.Fprintf(w, "The root key of account %s, shown this once:\n\n  AWS_ACCESS_KEY_ID=%s\n  AWS_SECRET_ACCESS_KEY=%s\n", k.Account, k.ID, k.Secret)
	}
	sealed(w, data)
}

func sealed(w io.Writer, data string) {
	fmt.Fprintf(w, `
Secrets and media are stored sealed under %s. Losing that file loses
everything sealed under it: no key of this installation can be used and no stored
fragment read again, and backups do not hold it. Keep a copy elsewhere:

  millrace key-file export FILE --data %s
`, filepath.Join(data, server.KeyFile), data)
}

// writeKey writes a new file that only its owner reads.
func writeKey(path string, k *iam.RootKey) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	printKey(f, k)
	return errors.Join(f.Sync(), f.Close())
}

// journal says whether w is the journal: its device and inode are what systemd.exec(5)
// says that JOURNAL_STREAM names. A terminal below a service inherits the variable, too.
func journal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// quiet are log settings for a command that is no server: only what is wrong.
func quiet(l config.Log) config.Log {
	l.Level, l.Var = "warn", new(slog.LevelVar)
	return l
}
