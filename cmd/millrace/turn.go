package main

// turnCmd is "millrace turn".
type turnCmd struct {
	Test  turnTestCmd  `cmd:"" help:"Say which relays of a channel work from this machine, and how fast."`
	Top   turnTopCmd   `cmd:"" help:"Show the relay addresses that clients have, the fastest first."`
	Usage turnUsageCmd `cmd:"" help:"Say what was relayed for each channel."`
}

// Help shows examples.
func (turnCmd) Help() string {
	return `Peers that cannot reach each other send through the server's relay (STUN and TURN), which
lends addresses to clients of signaling channels. The guide has a page about it: network.md.

Examples:
  millrace turn test door
  millrace turn top
  millrace turn usage`
}
