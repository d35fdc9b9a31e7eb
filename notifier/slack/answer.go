package slack

import (
	"errors"
	"fmt"
	"net/http"

	slackapi "github.com/slack-go/slack"

	"github.com/certvigil/certvigil/notifier"
)

// judgeAPI says what an error of the Web API, which comes with status 200,
// asks for. See https://api.slack.com/methods/chat.postMessage#errors.
func judgeAPI(err error) error {
	answer, ok := errors.AsType[slackapi.SlackErrorResponse](err)
	if !ok {
		return fmt.Errorf("answer not understood: %w", err)
	}
	err = fmt.Errorf("slack answered %s", answer.Err)
	switch answer.Err {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		return notifier.RetryAfter(err, 0)
	case "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text",
		"too_many_attachments", "metadata_too_large", "invalid_arguments":
		return notifier.Permanent(err)
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org":
		return err
	}
	// What is left concerns the token, its scopes or the conversation.
	return notifier.ChannelFailing(err)
}

type recordKey struct{}

// recorded is what the counterpart answered to one request.
type recorded struct {
	status int
	header http.Header
	answer string // of anything but 200
}

// A recorder notes the answer to a request in the *recorded of its context.
type recorder struct {
	next http.RoundTripper
	of   *Channel
}

// RoundTrip implements [http.RoundTripper].
func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if got, ok := req.Context().Value(recordKey{}).(*recorded); ok && err == nil {
		got.status, got.header = resp.StatusCode, resp.Header
		resp.Body = notifier.LimitBody(resp.Body)
		if resp.StatusCode != http.StatusOK {
			got.answer = notifier.ReadAnswer(resp.Body, r.of.secrets...)
		}
	}
	return resp, err
}
