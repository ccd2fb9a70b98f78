package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/keyfile"
)

// Examine looks at everything on this machine that a start with the settings would
// need, and changes nothing. It returns what would make the start fail. While a server
// runs on the data directory its lock counts as free, and so do addresses: they are its.
func Examine(c config.Config) (wrong config.Mistakes) {
	add := func(setting string, err error) {
		if err != nil {
			wrong = append(wrong, config.Mistake{Setting: setting, Text: err.Error()})
		}
	}
	add("data", examineData(c.Data, c.Dev))
	if c.TLS.ACME.CA != "" {
		_, err := os.ReadFile(c.TLS.ACME.CA)
		add("tls.acme.ca", err)
	}
	add("tls.cert", examineCertificate(&c))
	wrong = append(wrong, examineKeys(&c)...)
	seen := map[string]string{}
	for _, a := range addresses(&c) {
		if other := seen[a.addr]; other != "" && !anyPort(a.addr) {
			add(a.name, fmt.Errorf("address %s is already that of %s", a.addr, other))
			continue
		}
		seen[a.addr] = a.name
		add(a.name, examineAddress(a.addr, c.Data))
	}
	if total := totalMemory(); int64(c.Memory.Budget) > total {
		add("memory.budget", fmt.Errorf("%d MiB are more than the %d MiB this machine has", c.Memory.Budget>>20, total>>20))
	}
	return wrong
}

func anyPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port == "0"
}

// examineAddress takes an address for a moment. data is the data directory whose server
// may have it.
func examineAddress(addr, data string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && running(data):
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is in use by another program, as no server runs on %s: give another address, or the --data of the server that has this one", addr, data)
	case err != nil:
		return addressError(addr, err)
	}
	return l.Close()
}

// addressError says why an address cannot be listened on.
func addressError(addr string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("address %s: this user may not listen on a port below 1024; take a higher one, or grant CAP_NET_BIND_SERVICE", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is not one of this machine", addr)
	}
	return err
}

// running reports whether a server has the data directory, as far as this user can tell.
func running(data string) bool {
	f, err := os.Open(filepath.Join(data, lockFile))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = f.Close() }() // gives up the lock, too
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// examineData looks whether the data directory is one for this kind of server, or can be
// made.
func examineData(root string, dev bool) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	info, err := os.Stat(root)
	for above := filepath.Dir(root); errors.Is(err, fs.ErrNotExist); above = filepath.Dir(above) {
		info, err = os.Stat(above)
		if err == nil && info.IsDir() {
			return writable(above)
		}
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", root)
	}
	if err := writable(root); err != nil {
		return err
	}
	d := &dataDir{root: root}
	if err := d.examineFormat(); err != nil {
		return err
	}
	return d.examineOwner(dev)
}

// writable makes and removes a file.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".format-check-*")
	if err != nil {
		if wrong, ok := errors.AsType[*fs.PathError](err); ok { // the name of the try says nothing
			err = wrong.Err
		}
		return fmt.Errorf("nothing can be written to %s: %w", dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// examineCertificate reads the certificate's files and looks whether clients would take
// it for the endpoint they are told.
func examineCertificate(c *config.Config) error {
	if c.HTTPS == "" || c.TLS.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		return fmt.Errorf("tls.cert and tls.key: %w", err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("%s expired on %s", c.TLS.Cert, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	if u, err := url.Parse(c.Endpoint); err == nil && u.Scheme == "https" {
		if err := pair.Leaf.VerifyHostname(u.Hostname()); err != nil {
			return fmt.Errorf("%s does not fit the endpoint %s: %w", c.TLS.Cert, c.Endpoint, err)
		}
	}
	return nil
}

// examineKeys looks whether the key files of the settings can be read.
func examineKeys(c *config.Config) (wrong config.Mistakes) {
	for id, file := range c.Keys.Files {
		_, err := keyfile.Read(file)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no key file %s: put back its copy, or make one with millrace key-file make if nothing was ever sealed under it", file)
		}
		if err != nil {
			wrong = append(wrong, config.Mistake{Setting: "keys.files." + id, Text: err.Error()})
		}
	}
	return wrong
}
