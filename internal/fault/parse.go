package fault

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/wire"
)

// rule is one specification.
type rule struct {
	operation string // "*" = all
	when      when

	// What befalls a call.
	latency   *span
	status    int
	exception string
	cut       int64 // bytes of the answer, -1 = no cut

	// What befalls the fragments of a PutMedia session.
	ack, end int // codes, 0 = none
	withhold string
	delay    *span
	delayed  string // event
}

// span is a duration between two bounds.
type span struct{ least, most time.Duration }

// when says which calls, or fragments of a session, a rule is for.
type when struct {
	rate  float64
	every int
	after int
	times int // 0 = no end
}

// longest is the longest that anything may be delayed.
const longest = 10 * time.Minute

// parse reads OPERATION:KEY=VALUE,...
func parse(text string) (rule, error) {
	r := rule{cut: -1, when: when{rate: 1, every: 1}}
	var keys string
	var ok bool
	if r.operation, keys, ok = strings.Cut(strings.TrimSpace(text), ":"); !ok {
		return r, fmt.Errorf("fault %q: write OPERATION:KEY=VALUE,... such as GetDataEndpoint:status=500,rate=0.5", text)
	}
	if r.operation != "*" && wire.ByName(r.operation) == nil && !wire.IsAction(r.operation) && !wire.IsSocket(r.operation) {
		return r, fmt.Errorf("fault %q: there is no operation %q; * stands for all", text, r.operation)
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(keys, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		err := r.set(key, value)
		if err == nil && seen[key] {
			err = fmt.Errorf("%s is there twice", key)
		}
		if err != nil {
			return r, fmt.Errorf("fault %q: %w", text, err)
		}
		seen[key] = true
	}
	if err := r.check(); err != nil {
		return r, fmt.Errorf("fault %q: %w", text, err)
	}
	return r, nil
}

// set reads one key.
func (r *rule) set(key, value string) (err error) {
	switch key {
	case "latency":
		r.latency, err = parseSpan(value)
	case "status":
		r.status, err = number(value, 400, 599)
	case "error":
		if r.exception = value; value == "" || strings.Trim(value, letters) != "" {
			err = fmt.Errorf("error=%q is not the name of an exception", value)
		}
	case "cut":
		r.cut, err = parseCut(value)
	case "ack":
		r.ack, err = parseCode(value)
	case "end":
		r.end, err = parseCode(value)
	case "withhold":
		r.withhold, err = parseEvent(value)
	case "delay":
		event, d, _ := strings.Cut(value, "/")
		if r.delayed, err = parseEvent(event); err == nil {
			r.delay, err = parseSpan(d)
		}
	case "rate":
		if r.when.rate, err = strconv.ParseFloat(value, 64); err != nil || !(r.when.rate >= 0 && r.when.rate <= 1) {
			err = fmt.Errorf("rate=%q: write a number from 0 to 1", value)
		}
	case "every":
		r.when.every, err = number(value, 1, math.MaxInt32)
	case "after":
		r.when.after, err = number(value, 0, math.MaxInt32)
	case "times":
		r.when.times, err = number(value, 1, math.MaxInt32)
	default:
		err = fmt.Errorf("%q is not known: use latency, status, error, cut, ack, end, withhold or delay, with rate, every, after and times", key)
	}
	return err
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// check finds rules that do nothing, or of which nobody could say what they count.
func (r *rule) check() error {
	call := r.latency != nil || r.status != 0 || r.exception != "" || r.cut >= 0
	switch fragments := r.ofFragments(); {
	case !call && !fragments:
		return errors.New("say what goes wrong: latency, status, error, cut, ack, end, withhold or delay")
	case call && fragments:
		return errors.New("calls and fragments are counted apart: write two faults, one with latency, status, error and cut, one with ack, end, withhold and delay")
	case fragments && r.operation != "PutMedia":
		return errors.New("only PutMedia has acknowledgements")
	}
	return nil
}

func (r *rule) ofFragments() bool {
	return r.ack != 0 || r.end != 0 || r.withhold != "" || r.delay != nil
}

func number(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q: write a number from %d to %d", text, least, most)
	}
	return n, nil
}

// parseSpan reads 50ms or 50ms-200ms.
func parseSpan(text string) (*span, error) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	least, err := time.ParseDuration(low)
	most, err2 := time.ParseDuration(high)
	if errors.Join(err, err2) != nil || least < 0 || least > most || most > longest {
		return nil, fmt.Errorf("%q: write a duration of at most %v, or two: 50ms-200ms", text, longest)
	}
	return &span{least, most}, nil
}

var sizes = []struct {
	unit  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// parseCut reads how many bytes of the answer come; "before" = nothing at all.
func parseCut(text string) (int64, error) {
	if text == "before" {
		return 0, nil
	}
	for _, s := range sizes {
		digits, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(s.unit))
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > 0 && n <= math.MaxInt64/s.bytes {
			return n * s.bytes, nil
		}
		break
	}
	return 0, fmt.Errorf("cut=%q: write before, or how much of the answer comes, such as 512B, 100KB or 1MB", text)
}

// parseCode reads the ErrorId of an acknowledgement (errors sheet, section 5.1).
func parseCode(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || (n < 4000 || n > 4013) && (n < 4500 || n > 4506) && n != 5000 && n != 5001 {
		return 0, fmt.Errorf("%q: write a code of ERROR acknowledgements: 4000 to 4013, 4500 to 4506, 5000 or 5001", text)
	}
	return n, nil
}

var events = []string{"BUFFERING", "RECEIVED", "PERSISTED"}

func parseEvent(text string) (string, error) {
	if !slices.Contains(events, text) {
		return "", fmt.Errorf("%q: write %s", text, strings.Join(events, ", "))
	}
	return text, nil
}
