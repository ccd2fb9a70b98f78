package e2e

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/client"
)

// top shows who sends and who reads, under the names of the log.
func TestTop(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	producer := s.open(t, "garden")
	producer.send(t, head())
	for _, c := range seconds(3, 0) {
		producer.send(t, c)
	}
	producer.await(t, client.Persisted)
	answer := s.caller(t).stream(t, "GetMedia", object{"StreamName": "garden", "StartSelector": object{"StartSelectorType": "EARLIEST"}})
	if _, err := bufio.NewReader(answer).ReadByte(); err != nil {
		t.Fatal(err)
	}
	var open []openSession
	eventually(t, "both are shown", func() error {
		open = read[openSession](t, run(t, s.variables(), program(t), "top", "garden", "--json"))
		if len(open) != 2 || open[0].Bytes == 0 || open[1].Bytes == 0 || open[0].Persisted+open[1].Persisted == 0 {
			return fmt.Errorf("%+v", open)
		}
		return nil
	})
	for _, o := range open {
		if o.StreamName != "garden" || o.AccessKey != s.key || !strings.HasPrefix(o.Client, "127.0.0.1:") || o.UserAgent == "" || o.BytesPerSecond == 0 || o.RequestId == "" {
			t.Errorf("%+v", o)
		}
		if (o.Operation == "PutMedia") != (o.LastAck != "") || o.Failed != 0 {
			t.Errorf("%+v", o)
		}
	}
	if table := run(t, s.variables(), program(t), "top", "--once"); !strings.Contains(table, "1 producer in") || !strings.Contains(table, "1 consumer out") {
		t.Errorf("%s", table)
	}
	producer.end(t)
	_ = answer.Close()
	eventually(t, "the sessions are gone", func() error {
		if out := run(t, s.variables(), program(t), "top", "--json"); out != "" {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	for _, o := range open {
		s.out.wait(t, "id="+o.RequestId+" operation="+o.Operation)
	}
}
