// Command millrace is the server and its tools: it serves streams of video, sends media
// to them, reads media from them and lists what they keep.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/internal/manual"
)

// Exit codes. Scripts may rely on them.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // it was not tried, mostly because the command line is wrong
)

// cli has one field for each subcommand, in the order of the help.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Init    initCmd    `cmd:"" help:"Make a data directory and its root key before the first start."`
	Health  healthCmd  `cmd:"" help:"Ask a server whether it is well."`
	Config  configCmd  `cmd:"" help:"Check and show the settings of a server."`
	Key     keyCmd     `cmd:"" help:"Manage access keys."`
	Account accountCmd `cmd:"" help:"Manage accounts, the tenants of a server."`
	User    userCmd    `cmd:"" help:"Manage users."`
	Group   groupCmd   `cmd:"" help:"Manage groups of users."`
	Role    roleCmd    `cmd:"" help:"Manage roles."`
	Policy  policyCmd  `cmd:"" help:"Manage policies, and say why something is allowed or denied."`
	KeyFile keyFileCmd `cmd:"" help:"Copy, check and replace the file that secrets and media are sealed under."`
	Backup  backupCmd  `cmd:"" help:"Copy the data directory beside its server; list and verify copies."`
	Restore restoreCmd `cmd:"" help:"Make a data directory from a backup."`
	Check   checkCmd   `cmd:"" help:"Compare what is stored with the rules it obeys, and repair it."`
	Put     putCmd     `cmd:"" help:"Send Matroska to a stream."`
	Get     getCmd     `cmd:"" help:"Read media from a stream."`
	Clip    clipCmd    `cmd:"" help:"Save a range of a stream as an MP4 file."`
	List    listCmd    `cmd:"" help:"List the fragments that a stream keeps."`
	HLS     hlsCmd     `cmd:"" name:"hls" help:"Print a URL that plays a stream by HLS."`
	Dash    dashCmd    `cmd:"" help:"Print a URL that plays a stream by MPEG-DASH."`
	WebRTC  webrtcCmd  `cmd:"" name:"webrtc" help:"Send to the viewers of a signaling channel, or watch its master."`
	Turn    turnCmd    `cmd:"" help:"Look at the server's relay."`
	Clock   clockCmd   `cmd:"" help:"Show or move the clock of a development server."`
	Reset   resetCmd   `cmd:"" help:"Delete all streams and channels of a development server."`
	Lint    lintCmd    `cmd:"" help:"Say what a server would refuse of a file, before it is sent."`
	Channel channelCmd `cmd:"" help:"Manage signaling channels, and say who is on them."`
	Limit   limitCmd   `cmd:"" help:"List and change the limits in force."`
	Hold    holdCmd    `cmd:"" help:"Keep fragments of a range of time from being removed."`
	Session sessionCmd `cmd:"" help:"End playback sessions."`
	Erase   eraseCmd   `cmd:"" help:"Remove the fragments of a range of time, and list what was removed."`
	Usage   usageCmd   `cmd:"" help:"Say what streams keep and how much comes in."`
	Top     topCmd     `cmd:"" help:"Show the open sessions, the fastest first."`
	Why     whyCmd     `cmd:"" help:"Say what a stream refused, why, and what helps."`

	Completion completionCmd `cmd:"" help:"Print what teaches a shell to complete command lines."`
	Man        manCmd        `cmd:"" help:"Print the manual page."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

// Help is the end of the help text.
func (cli) Help() string {
	return `One program is the server and its tools. Commands that call a server find it by the
variables of the AWS SDKs (millrace help environment); those that work on a server's data
directory find it as the server does (millrace help configuration).

Topics: millrace help ` + strings.Join(manual.Topics(), ", ") + `.`
}

// stdio is where a command reads and writes.
type stdio struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks the command to end; a second one ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, std stdio) int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("millrace"),
		kong.Description("Self-hosted video streams that speak the protocol of Kinesis Video Streams."),
		kong.UsageOnError(),
		kong.Writers(std.out, std.err),
		kong.Vars{"version": build()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		fmt.Fprintln(std.err, "millrace:", err)
		return exitFailed
	}
	if len(args) > 0 && args[0] == manual.CompleteCommand {
		complete(ctx, std.out, parser, args[1:])
		return exitOK
	}
	if explainTopic(std.out, args) {
		return exitOK
	}
	if len(args) == 0 {
		return overview(std.err, parser)
	}
	if unknownHelp(std.err, parser.Model, args) {
		return exitUsage
	}
	parsed, err := parser.Parse(negatives(words(args)))
	if err != nil {
		fmt.Fprintf(std.err, "millrace: %s\nTry \"millrace --help\", or --help behind a command.\n", noSuchFile(err.Error()))
		return exitUsage
	}
	command, _, _ := strings.Cut(parsed.Command(), " ")
	return report(std, command, parsed.Run())
}

// report tells a command's error and makes it an exit code.
func report(std stdio, command string, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(std.err, "millrace:", explain(command, err))
	if wrong, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(std.err, "Try \"millrace %s --help\".\n", wrong.command)
		return exitUsage
	}
	if _, ok := errors.AsType[untriedError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// usageError says that a command was called in a way that cannot work.
type usageError struct{ command, reason string }

func (e *usageError) Error() string { return e.reason }
