package slack

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	slackapi "github.com/slack-go/slack"

	"github.com/certvigil/certvigil/notifier"
)

// A refusal is an answer of Slack other than yes, by the word it gave. The Web
// API answers so with status 200, webhooks with that word as their body. See
// https://docs.slack.dev/reference/methods/chat.postMessage#errors.
type refusal struct {
	error
	word string
}

// Unwrap returns what the refusal asks for.
func (r *refusal) Unwrap() error { return r.error }

// refusedAs returns Slack's word for why it refused, "" for any other error.
func refusedAs(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.word
	}
	return ""
}

// layoutRefused reports whether Slack takes offence at the form of a message,
// and might take its words alone.
func layoutRefused(err error) bool {
	switch refusedAs(err) {
	case "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "invalid_arguments", "invalid_payload":
		return true
	}
	return false
}

// threadRefused reports whether the message to be answered is gone, or may not
// be answered.
func threadRefused(err error) bool {
	switch refusedAs(err) {
	case "thread_not_found", "message_not_found", "cannot_reply_to_message", "invalid_thread_ts",
		"restricted_action_thread_locked", "restricted_action_thread_only_channel", "restricted_action_non_threadable_channel":
		return true
	}
	return false
}

// meaning marks an error by what Slack's word for it asks for. A word that is
// not known concerns the token, its scopes or the conversation, as most do.
func meaning(word string, err error) error {
	switch word {
	case "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "invalid_payload",
		"too_many_attachments", "metadata_too_large", "invalid_arguments", "missing_text_or_fallback_or_attachments":
		return notifier.Permanent(err)
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "rollup_error":
		return err
	}
	return notifier.ChannelFailing(err)
}

// judge says what to do about an error. slack-go throws the counterpart's
// words and an HTTP date in Retry-After away, so the recorder's word counts.
func (c *Channel) judge(err error, got recorded) error {
	switch {
	case err == nil:
		return nil
	case got.status == 0:
		return notifier.TransportError(err)
	case got.status != http.StatusOK:
		return c.judgeStatus(err, got)
	}
	answer, ok := errors.AsType[slackapi.SlackErrorResponse](err)
	if !ok {
		return fmt.Errorf("answer not understood: %w", err)
	}
	switch answer.Err {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		return notifier.ResponseError(http.StatusTooManyRequests, got.header, answer.Err, c.options.Now())
	}
	return &refusal{meaning(answer.Err, fmt.Errorf("slack answered %s", answer.Err)), answer.Err}
}

// judgeStatus judges an answer by its HTTP status, and by its words where Slack
// means something else than the status says: 400 for a webhook that was
// removed, 410 for a conversation that can be opened again.
func (c *Channel) judgeStatus(err error, got recorded) error {
	answer := notifier.ResponseError(got.status, got.header, got.answer, c.options.Now())
	if answer == nil {
		return err // some other 2xx that slack-go did not understand
	}
	word := strings.TrimSpace(got.answer)
	said := got.status >= 400 && got.status < 500 && got.status != http.StatusTooManyRequests && isWord(word)
	if !said {
		return answer
	}
	return &refusal{meaning(word, fmt.Errorf("answered %d %s: %s", got.status, http.StatusText(got.status), word)), word}
}

// isWord tells one of Slack's words from a page of something on the way.
func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
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
