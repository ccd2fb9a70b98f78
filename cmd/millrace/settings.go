package main

import (
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/internal/config"
)

// settingFlags are the flags that stand for settings. Flags win over the environment,
// which wins over the file.
type settingFlags struct {
	Config   string  `type:"existingfile" placeholder:"FILE" help:"Settings in YAML; the millrace.yml that comes with the program shows all of them."`
	Data     *string `placeholder:"DIR" help:"Directory of everything the server keeps."`
	HTTP     *string `name:"http" placeholder:"ADDR" help:"Address of the plain listener, \"\" for none."`
	HTTPS    *string `name:"https" placeholder:"ADDR" help:"Address of the TLS listener, \"\" for none."`
	Metrics  *string `placeholder:"ADDR" help:"Address that serves /metrics without a signature."`
	Play     *string `placeholder:"ADDR" help:"Address that serves playlists and segments over TLS with HTTP/2; session URLs then point there."`
	Endpoint *string `placeholder:"URL" help:"What GetDataEndpoint answers."`
	Profile  *string `placeholder:"NAME" help:"open: only limits that protect the server; aws: the quotas of the original service."`
	LogLevel *string `placeholder:"LEVEL" help:"debug, info, warn or error."`
	Dev      bool    `help:"Development server: loopback only, fixed keys, a demo stream, a data directory that is removed at the end unless --data names one."`
}

// sources are where the settings come from with these flags.
func (f *settingFlags) sources() config.Sources {
	s := config.Sources{Dev: f.Dev, File: f.Config, Environ: os.Environ(), Flags: map[string]string{}}
	for name, flag := range map[string]*string{"data": f.Data, "http": f.HTTP, "https": f.HTTPS,
		"metrics": f.Metrics, "play": f.Play, "endpoint": f.Endpoint, "profile": f.Profile, "log.level": f.LogLevel} {
		if flag != nil {
			s.Flags[name] = *flag
		}
	}
	return s
}

// noFile is what to say where settings are not those that somebody expects.
const noFile = "no settings file was read; on a host with the service: --config /etc/millrace/millrace.yml"

// whence adds to an error that comes of a setting where the value came from: a command
// that was given no file looks at another server than the one of the service.
func (d dataFlags) whence(setting string, err error) error {
	if err == nil {
		return nil
	}
	l, _ := d.load() // what could be read says enough
	switch o := l.Origins[setting]; {
	case o.Kind == "flag":
		return err
	case o.Where != "":
		return fmt.Errorf("%w\n  %s comes from %s", err, setting, o.Where)
	case d.Config != "":
		return fmt.Errorf("%w\n  %s is the default: %s does not set it", err, setting, d.Config)
	}
	return fmt.Errorf("%w\n  %s is the default: %s", err, setting, noFile)
}

// tellFile says that there was no file among the sources, where one may have been meant.
func (f *settingFlags) tellFile(w io.Writer) {
	if f.Config == "" && !f.Dev {
		fmt.Fprintln(w, "millrace:", noFile)
	}
}
