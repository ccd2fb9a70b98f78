package server

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/catalog/channels"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/sigv4"
)

// channel makes a signaling channel without a request.
func (h *hall) channel(a kvs.AccountID, name string) kvs.Channel {
	h.test.Helper()
	ch, err := h.channels.Create(h.test.Context(), channels.New{Account: a, Name: name})
	if err != nil {
		h.test.Fatal(err)
	}
	return ch
}

// guest is the client of an account of its own, for which a limit is set.
func (h *hall) guest(a kvs.AccountID, l *quota.Limit, value string) *client.Client {
	h.test.Helper()
	key, secret := "AKIAGUEST"+string(a[:11]), "the secret of "+string(a)
	if err := h.keys.EnsureKey(h.test.Context(), a, key, secret); err != nil {
		h.test.Fatal(err)
	}
	if err := h.book.Set(h.test.Context(), quota.Target{Account: a}, l.Name, value); err != nil {
		h.test.Fatal(err)
	}
	who := h.clientOf("https")
	who.Credentials = sigv4.Credentials{AccessKey: key, Secret: secret}
	return who
}

// must calls an operation that has to succeed.
func (h *hall) must(who *client.Client, operation, in string) {
	h.test.Helper()
	if err := h.call(who, operation, in); err != nil {
		h.test.Fatal(err)
	}
}

func tooManyChannels(h *hall, l *quota.Limit) {
	who := h.guest("444455556666", l, "3")
	for i := range 3 {
		h.must(who, "CreateSignalingChannel", fmt.Sprintf(`{"ChannelName":"cam%d"}`, i))
	}
	h.refused(h.call(who, "CreateSignalingChannel", `{"ChannelName":"cam3"}`), "AccountChannelLimitExceededException")
}

func tooManyChannelTags(h *hall, _ *quota.Limit) {
	arn := h.channel(config.DevAccount, "channel-tags").ARN().String()
	var tags []string
	for i := range 50 {
		tags = append(tags, fmt.Sprintf(`{"Key":"%d","Value":"v"}`, i))
	}
	h.must(h.Client, "TagResource", `{"ResourceARN":"`+arn+`","Tags":[`+strings.Join(tags, ",")+`]}`)
	h.must(h.Client, "TagResource", `{"ResourceARN":"`+arn+`","Tags":[{"Key":"7","Value":"another value"}]}`)
	h.refused(h.call(h.Client, "TagResource", `{"ResourceARN":"`+arn+`","Tags":[{"Key":"one more","Value":""}]}`), "TagsPerResourceExceededLimitException")
}

func tooManyStoring(h *hall, l *quota.Limit) {
	const a = kvs.AccountID("555566667777")
	who := h.guest(a, l, "1")
	storing := func(i int) string {
		name := fmt.Sprint("cam", i)
		return fmt.Sprintf(`{"ChannelARN":"%s","MediaStorageConfiguration":{"Status":"ENABLED","StreamARN":"%s"}}`,
			h.channel(a, name).ARN(), h.stream(a, name, 1).ARN())
	}
	first := storing(0)
	h.must(who, "UpdateMediaStorageConfiguration", first)
	h.must(who, "UpdateMediaStorageConfiguration", first) // which stores already
	h.refused(h.call(who, "UpdateMediaStorageConfiguration", storing(1)), "ClientLimitExceededException")
}
