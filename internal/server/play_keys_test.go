package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/wire"
)

// A key that cannot be used ends what players get at every door and in the same words, also
// what is in memory; when it is over they go on.
func TestPlayersAndTheKeyProvider(t *testing.T) {
	v := newVault(t, 0)
	v.createWith("yard", "alias/mine", 24)
	v.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	master := v.hls("yard", yesterday)
	list := uris(t, master, v.play(master))[0]
	addresses := append([]string{master, list, v.dash("yard", rangeOf("ON_DEMAND", "DASHFragmentSelector", premiere, premiere.Add(time.Minute)))}, uris(t, list, v.play(list))...)
	refused := func(err error) (int, string) {
		e, _ := errors.AsType[*client.Error](err)
		if e == nil {
			return 200, fmt.Sprint(err)
		}
		return e.Status, e.Message
	}
	doors := func() (status []int, says []string) {
		for _, address := range addresses {
			got := v.load("GET", address)
			status, says = append(status, got.status), append(says, got.body)
		}
		within := func(protocol string) string {
			return rangeOf("ON_DEMAND", protocol+"FragmentSelector", premiere, premiere.Add(time.Minute))
		}
		_, _, clip := v.cut(clipOf("yard", wire.ClipFragmentSelectorTypeProducerTimestamp, 0, kvs.MillisOf(premiere)+60_000), func(*http.Request) {})
		for _, err := range []error{clip, v.begin("GetHLSStreamingSessionURL", "yard", within("HLS"), &wire.GetHLSStreamingSessionURLOutput{}),
			v.begin("GetDASHStreamingSessionURL", "yard", within("DASH"), &wire.GetDASHStreamingSessionURLOutput{})} {
			code, text := refused(err)
			status, says = append(status, code), append(says, text)
		}
		return status, says
	}
	for _, c := range []struct {
		failure keyring.Failure
		status  int
	}{{0, 200}, {keyring.Disabled, 403}, {keyring.Unavailable, 503}, {keyring.NotFound, 403}, {0, 200}} {
		v.provider.Fail(c.failure)
		v.ring.Drop()
		status, says := doors()
		for i := range status {
			if status[i] != c.status || c.failure != 0 && !strings.Contains(says[i], "The stream cannot be read: "+c.failure.String()) {
				t.Errorf("%v: door %d: %d %.200s", c.failure, i, status[i], says[i])
			}
		}
	}
}
