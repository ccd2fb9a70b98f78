package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
)

// configCmd looks at settings without starting a server.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say everything that would keep a server from starting."`
	Show  configShowCmd  `cmd:"" help:"Print the settings in force and where each came from."`
}

// Help shows examples.
func (configCmd) Help() string {
	return `Examples:
  millrace config check --config /etc/millrace.yml
      Exit code 0: a server with this file, of the same user, starts. 1: every mistake, one
      a line.
  millrace config show --config /etc/millrace.yml
  millrace config show --defaults > millrace.yml`
}

type configCheckCmd struct {
	settingFlags
}

// Run prints every mistake.
func (c *configCheckCmd) Run(std stdio) error {
	l, err := config.Load(c.sources())
	if l.Dev && c.Data == nil {
		l.Data = filepath.Join(os.TempDir(), "millrace-dev") // a development server makes its own there
	}
	c.tellFile(std.err)
	err = l.Examined(err, server.Examine(l.Config))
	wrong, ok := errors.AsType[config.Mistakes](err)
	switch {
	case err == nil:
		if concerns := l.Examined(nil, server.Concerns(l.Config)); concerns != nil {
			fmt.Fprintf(std.out, "This may not be what you want:\n%v\n", concerns)
		}
		fmt.Fprintf(std.out, "The settings are good: a server of the user %s would start with them.\n", userName())
		if os.Geteuid() == 0 {
			fmt.Fprintln(std.out, "Root may read and write everything. For a server of another user run the check as that one: runuser -u millrace -- millrace config check ...")
		}
		return nil
	case !ok:
		return err
	}
	fmt.Fprintln(std.out, wrong)
	if len(wrong) == 1 {
		return errors.New("this setting has to be corrected")
	}
	return fmt.Errorf("these %d settings have to be corrected", len(wrong))
}

// userName is who examined the machine. A container may know its user by number only.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

type configShowCmd struct {
	settingFlags
	Defaults bool `help:"Show the defaults, whatever the file, the environment and the flags say."`
	JSON     bool `name:"json" help:"Print one JSON object: value and origin by name."`
}

// Run prints the settings in force; wrong ones are told, too.
func (c *configShowCmd) Run(std stdio) error {
	from := c.sources()
	if c.Defaults {
		from = config.Sources{Dev: c.Dev}
	}
	l, err := config.Load(from)
	if err != nil {
		return &usageError{"config show", wrongSettings(err) + "\nmillrace config check finds everything that is wrong, also on this machine."}
	}
	if !c.Defaults {
		c.tellFile(std.err)
		if l.Memory.Budget == 0 {
			l.Means = map[string]string{"memory.budget": fmt.Sprintf("%dMiB", server.MemoryBudget(l.Config)>>20)}
		}
	}
	if c.JSON {
		return l.WriteJSON(std.out)
	}
	return l.WriteYAML(std.out)
}
