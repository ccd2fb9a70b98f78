package e2e

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/mkv"
)

// A consumer that starts with NOW has the frames of a fragment that is still arriving,
// each as soon as it was sent.
func TestFramesArriveBeforeTheFragmentIsComplete(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	producer := s.open(t, "garden")
	sent := mkv.AppendClusterUnknown(nil, 0)
	send := func(i int) {
		b := block(i, 10, 5000, 1)
		sent = append(sent, b...)
		producer.send(t, b)
	}
	producer.send(t, head(), sent)
	for i := range 3 {
		send(i)
	}
	number := producer.await(t, client.Buffering).Number

	answer := s.caller(t).stream(t, "GetMedia", object{"StreamName": "garden", "StartSelector": object{"StartSelectorType": "NOW"}})
	arrived, whole := make(chan int, 1000), make(chan *chunk, 1)
	reader := newChunks(answer)
	reader.arrived = func(c *chunk) { arrived <- len(c.cluster) }
	go func() {
		c, err := reader.next()
		if err != nil {
			t.Error(err)
		}
		whole <- c
	}()
	until := func() {
		t.Helper()
		for {
			select {
			case n := <-arrived:
				if n == len(sent) {
					return
				}
			case <-time.After(patience):
				t.Fatalf("the consumer does not have the %d bytes that were sent", len(sent))
			}
		}
	}
	until()
	for i := 3; i < 10; i++ {
		send(i) // each frame arrives before the next one is sent
		until()
	}
	producer.send(t, cluster(1000, 1, 10, 2))
	producer.await(t, client.Persisted)
	select {
	case c := <-whole:
		if c.number != number || c.token != number || !bytes.Equal(c.cluster, sent) {
			t.Errorf("chunk %s with token %s and %d bytes, want fragment %s of %d", c.number, c.token, len(c.cluster), number, len(sent))
		}
	case <-time.After(patience):
		t.Fatal("the chunk does not end although the next fragment began")
	}
}

// Consumers that begin in the archive go on with what a producer is sending, without a
// gap and without anything twice.
func TestFromTheArchiveIntoTheLiveStream(t *testing.T) {
	const stored, live = 60, 240
	s := serve(t)
	s.create(t, "garden")
	sent := seconds(stored+live, 0)
	numbers := s.put(t, "garden", sent[:stored]...)
	s.stop(t)
	s = s.again(t) // nothing is in memory any more
	type reading struct {
		from   string
		first  int // index of the first fragment, -1 for one of the live ones
		answer *stream
		chunks chan []*chunk
	}
	selector := func(kind string, more ...string) object {
		sel := object{"StartSelectorType": kind}
		for i := 0; i < len(more); i += 2 {
			sel[more[i]] = more[i+1]
		}
		return object{"StreamName": "garden", "StartSelector": sel}
	}
	readings := []*reading{
		{from: "EARLIEST", answer: s.caller(t).stream(t, "GetMedia", selector("EARLIEST"))},
		{from: "a number", first: 30, answer: s.caller(t).stream(t, "GetMedia", selector("FRAGMENT_NUMBER", "AfterFragmentNumber", numbers[29]))},
		{from: "NOW", first: stored - 1, answer: s.caller(t).stream(t, "GetMedia", selector("NOW"))},
	}
	for _, r := range readings {
		r.chunks = make(chan []*chunk, 1)
		go func() { r.chunks <- follow(t, r.answer) }()
	}
	producer := s.open(t, "garden")
	go func() {
		_, err := io.Copy(producer, io.MultiReader(bytes.NewReader(head()), bytes.NewReader(bytes.Join(sent[stored:], nil))))
		_ = producer.CloseWithError(err)
	}()
	numbers = append(numbers, persisted(producer.rest(t))...)
	if len(numbers) != len(sent) {
		t.Fatalf("%d of %d fragments are durable", len(numbers), len(sent))
	}
	for _, r := range readings {
		got := <-r.chunks
		if len(got) != len(sent)-r.first {
			t.Fatalf("from %s: %d chunks, want %d", r.from, len(got), len(sent)-r.first)
		}
		sameClusters(t, got, sent[r.first:])
		for i, c := range got {
			if c.number != numbers[r.first+i] || c.token != c.number {
				t.Fatalf("from %s: chunk %d is %s with token %s, want %s", r.from, i, c.number, c.token, numbers[r.first+i])
			}
		}
		behind(t, r.from, got)
	}
}

// follow reads chunks until the server ends the answer, which it does after a time without
// media.
func follow(t *testing.T, r io.Reader) []*chunk {
	var got []*chunk
	for c := newChunks(r); ; {
		k, err := c.next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Errorf("after %d chunks: %v", len(got), err)
			return got
		}
		got = append(got, k)
	}
}

// behind checks MILLIS_BEHIND_NOW: large in the archive, small at the live edge, and never
// less than the chunk's distance from the newest one before it.
func behind(t *testing.T, from string, got []*chunk) {
	t.Helper()
	var all []int
	for _, c := range got {
		n, err := strconv.Atoi(c.behind)
		if err != nil || n < 0 {
			t.Fatalf("from %s: MILLIS_BEHIND_NOW is %q", from, c.behind)
		}
		all = append(all, n)
	}
	first, last := all[0], all[len(all)-1]
	stamp := func(c *chunk) float64 { v, _ := strconv.ParseFloat(c.server, 64); return v }
	if age := int((stamp(got[len(got)-1]) - stamp(got[0])) * 1000); first > age+1 || last > 1000 {
		t.Errorf("from %s: first %d ms behind, although only %d lie between first and last; last %d ms behind", from, first, age, last)
	}
}

// Each start selector begins where it should.
func TestStartSelectors(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.create(t, "garden")
	sent := seconds(6, 0)
	numbers := s.put(t, "garden", sent...)
	list := fragments(t, s, "garden", numbers)
	between := numbers[2][:20] + "9" + numbers[2][21:] // greater than 2, less than 3
	if between <= numbers[2] || between >= numbers[3] {
		between = numbers[2]
	}
	for name, c := range map[string]struct {
		selector object
		first    int
	}{
		"EARLIEST":                      {object{"StartSelectorType": "EARLIEST"}, 0},
		"NOW":                           {object{"StartSelectorType": "NOW"}, 5},
		"FRAGMENT_NUMBER":               {object{"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": numbers[1]}, 2},
		"FRAGMENT_NUMBER unknown":       {object{"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": between}, 3},
		"FRAGMENT_NUMBER before all":    {object{"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": "1"}, 0},
		"FRAGMENT_NUMBER of the last":   {object{"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": numbers[5]}, 6},
		"CONTINUATION_TOKEN":            {object{"StartSelectorType": "CONTINUATION_TOKEN", "ContinuationToken": numbers[3]}, 4},
		"SERVER_TIMESTAMP of the last":  {object{"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": date(list[5].ServerTimestamp.Date)}, 5},
		"SERVER_TIMESTAMP before all":   {object{"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": date(time.Unix(1, 0))}, 0},
		"SERVER_TIMESTAMP after all":    {object{"StartSelectorType": "SERVER_TIMESTAMP", "StartTimestamp": date(time.Now().Add(time.Hour))}, 6},
		"PRODUCER_TIMESTAMP inside":     {object{"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": date(began.Add(2500 * time.Millisecond))}, 2},
		"PRODUCER_TIMESTAMP at a start": {object{"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": date(began.Add(3 * time.Second))}, 3},
		"PRODUCER_TIMESTAMP before all": {object{"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": date(began.Add(-time.Hour))}, 0},
		"PRODUCER_TIMESTAMP after all":  {object{"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": date(began.Add(time.Hour))}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := s.caller(t).stream(t, "GetMedia", object{"StreamName": "garden", "StartSelector": c.selector})
			got := all(t, answer)
			answer.ended(t)
			sameClusters(t, got, sent[c.first:])
			for i, k := range got {
				numbered(t, k)
				if k.number != numbers[c.first+i] {
					t.Errorf("chunk %d is %s, want %s", i, k.number, numbers[c.first+i])
				}
			}
		})
	}
}

// A stream without retention keeps nothing but a live buffer: no PERSISTED, no fragment in
// lists, and consumers all the same.
func TestAStreamWithoutRetention(t *testing.T) {
	s := serve(t)
	s.caller(t).must(t, "CreateStream", object{"StreamName": "garden"}, nil)
	sent := seconds(4, 0)
	producer := s.open(t, "garden")
	producer.send(t, append([][]byte{head()}, sent...)...)
	acks := producer.end(t)
	received := 0
	for _, a := range acks {
		switch a.Type {
		case client.Received:
			received++
		case client.Persisted, client.Failed:
			t.Errorf("acknowledged with %s", a.Raw)
		}
	}
	if received != len(sent) {
		t.Errorf("%d fragments received, want %d:\n%s", received, len(sent), lines(acks))
	}
	fragments(t, s, "garden", nil)
	answer := s.caller(t).stream(t, "GetMedia", object{"StreamName": "garden", "StartSelector": object{"StartSelectorType": "EARLIEST"}})
	sameClusters(t, all(t, answer), sent)
}

// A stream that is deleted takes its producers and consumers with it, and says so.
func TestAStreamDeletedUnderProducerAndConsumer(t *testing.T) {
	s := serve(t)
	who := s.caller(t)
	var made struct{ StreamARN string }
	who.must(t, "CreateStream", object{"StreamName": "garden", "DataRetentionInHours": 24}, &made)
	producer := s.open(t, "garden")
	producer.send(t, head(), cluster(0, 10, 100, 1), mkv.AppendClusterUnknown(nil, 1000))
	producer.await(t, client.Persisted)
	answer := who.stream(t, "GetMedia", object{"StreamName": "garden", "StartSelector": object{"StartSelectorType": "EARLIEST"}})
	consumer := newChunks(answer)
	consumed := make(chan []byte, 1)
	began := make(chan struct{}, 100)
	consumer.arrived = func(*chunk) { began <- struct{}{} }
	go func() {
		_, _ = consumer.next()
		rest, _ := io.ReadAll(answer)
		consumed <- rest
	}()
	<-began
	who.must(t, "DeleteStream", object{"StreamARN": made.StreamARN}, nil)
	if a := producer.await(t, client.Failed); a.ErrorID != 4008 || a.ErrorCode != "STREAM_NOT_ACTIVE" {
		t.Errorf("the producer hears %s, want 4008", a.Raw)
	}
	producer.rest(t)
	if rest := <-consumed; !bytes.Contains(rest, []byte("AWS_KINESISVIDEO_ERROR_ID")) {
		t.Errorf("the consumer's answer ends without an error, after %d bytes more", len(rest))
	}
	if a := who.call(t, "GetMedia", input("GetMedia", "garden", "", "")); a.Error == nil || a.Error.Name != "ResourceNotFoundException" {
		t.Errorf("media of the deleted stream: %v", a.Error)
	}
}
