package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/internal/relay/probe"
)

// turnTestTable prints a row for each URI and address, and below it what is to be said of
// them in words.
func turnTestTable(w io.Writer, r *probe.Report) error {
	rated := slices.ContainsFunc(r.Results, func(r probe.Result) bool { return r.Rate != nil })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "URI\tADDRESS\tSTATE\tRESOLVE\tCONNECT\tBINDING\tALLOCATE\tRTT\tP99\tLOST\tDIRECT")
	if rated {
		fmt.Fprint(t, "\tRATE")
	}
	fmt.Fprintln(t)
	for i := range r.Results {
		fmt.Fprintln(t, turnTestRow(&r.Results[i], rated))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	turnTestWords(w, r)
	return nil
}

// turnTestRow is a row of the table.
func turnTestRow(r *probe.Result, rated bool) string {
	rtt, p99, lost := "-", "-", "-"
	if t := r.Trip; t != nil {
		rtt, p99, lost = millis(t.P50Seconds), millis(t.P99Seconds), fmt.Sprintf("%d/%d", t.Sent-t.Returned, t.Sent)
	}
	row := fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", printable(r.URI), cmp.Or(r.Address, "-"), r.State, millis(r.ResolveSeconds),
		millis(r.ConnectSeconds+r.HandshakeSeconds), millis(r.BindingSeconds), millis(r.AllocateSeconds), rtt, p99, lost, cmp.Or(string(r.Direct), "-"))
	switch {
	case rated && r.Rate != nil:
		row += fmt.Sprintf("\t%.2f Mbit/s", r.Rate.GotBits/1e6)
	case rated:
		row += "\t-"
	}
	return row
}

// turnTestWords says why something failed, what is odd, and how this machine is seen; once
// what is the same of several URIs.
func turnTestWords(w io.Writer, r *probe.Report) {
	var words []string
	where := map[string]string{}
	add := func(one *probe.Result, text string) {
		if !slices.Contains(words, text) {
			words = append(words, text)
		}
		where[text] += printable(one.URI) + choose(one.Address == "", "", " ("+one.Address+")") + "\n"
	}
	for i := range r.Results {
		one := &r.Results[i]
		if p := one.Problem; p != nil {
			hint := "  hint: " + p.Advice + "\n"
			add(one, "  "+printable(p.Text)+"\n"+choose(p.Advice != "" && one.State == probe.Failed, hint, ""))
		}
		for _, n := range one.Notes {
			add(one, "  "+printable(n)+"\n")
		}
	}
	for _, text := range words {
		fmt.Fprintf(w, "\n%s%s", where[text], text)
	}
	var seen []string
	for i := range r.Results {
		if text := seenFrom(&r.Results[i]); text != "" && !slices.Contains(seen, text) {
			seen = append(seen, text)
		}
	}
	fmt.Fprint(w, "\n", strings.Join(seen, ""))
}

// seenFrom says how a server sees this machine.
func seenFrom(r *probe.Result) string {
	mapped, _, err := net.SplitHostPort(r.Mapped)
	local, _, _ := net.SplitHostPort(r.Local)
	switch {
	case err != nil:
		return ""
	case r.NAT:
		return fmt.Sprintf("Seen from outside as %s: there is a NAT between this machine (%s) and the relay.\n", mapped, local)
	}
	return fmt.Sprintf("Seen from outside as %s, which is this machine's own address: there is no NAT.\n", mapped)
}

// millis is a time in seconds for people; - is none.
func millis(s float64) string {
	switch {
	case s <= 0:
		return "-"
	case s < 0.01:
		return fmt.Sprintf("%.2f ms", s*1e3)
	case s < 1:
		return fmt.Sprintf("%.1f ms", s*1e3)
	}
	return fmt.Sprintf("%.2f s", s)
}
