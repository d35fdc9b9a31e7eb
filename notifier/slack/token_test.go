package slack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/slack"
)

// memory remembers threads, unless it is broken.
type memory struct {
	mu     sync.Mutex
	ts     map[string]string
	broken bool
}

func (m *memory) SlackThread(_ context.Context, channel, conversation, itemID string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return "", errors.New("the store is away")
	}
	return m.ts[channel+conversation+itemID], nil
}

func (m *memory) BeginSlackThread(_ context.Context, channel, conversation, itemID, ts string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return errors.New("the store is away")
	}
	if m.ts == nil {
		m.ts = map[string]string{}
	}
	m.ts[channel+conversation+itemID] = ts
	return nil
}

func bot(t *testing.T, w *workspace, threads slack.Threads) *slack.Channel {
	t.Helper()
	return channel(t, slack.Options{Token: token, Channel: "#ops", APIURL: w.URL + "/api", Threads: threads})
}

// at is the message about the CA of [notifiertest.One] at a threshold.
func at(threshold time.Duration) notifier.Message {
	return notifiertest.Message(notifiertest.Entry(*notifiertest.One().Entries[0].Item, threshold, alert.EventExpiring))
}

// Later messages about one certificate answer the first; those that ask for
// something are shown outside the thread as well.
func TestSend_threads(t *testing.T) {
	t.Parallel()
	w, threads := newWorkspace(t), &memory{}
	other := notifiertest.Revoked()
	for _, m := range []notifier.Message{
		at(30 * alert.Day), other, at(14 * alert.Day), notifiertest.Digest(3), notifiertest.Renewed(), notifiertest.Failure(), notifiertest.Test(),
	} {
		// Every message by a new channel: a reload or a restart forgets nothing.
		if err := bot(t, w, threads).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, p := range w.posts() {
		got = append(got, fmt.Sprintf("%s answers %q, shown to all: %t", p.ts, p.thread, p.broadcast || p.thread == ""))
	}
	want := []string{
		`1700000000.000001 answers "", shown to all: true`,
		`1700000000.000002 answers "", shown to all: true`,
		`1700000000.000003 answers "1700000000.000001", shown to all: true`,
		`1700000000.000004 answers "", shown to all: true`,
		`1700000000.000005 answers "1700000000.000001", shown to all: false`,
		`1700000000.000006 answers "", shown to all: true`,
		`1700000000.000007 answers "", shown to all: true`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What stands in the way of a thread must not cost the alert.
func TestSend_threadTrouble(t *testing.T) {
	t.Parallel()
	t.Run("the first message was deleted", func(t *testing.T) {
		t.Parallel()
		w, threads := newWorkspace(t), &memory{}
		item := notifiertest.One().Entries[0].Item.ID
		if err := threads.BeginSlackThread(t.Context(), "oncall", "#ops", item, "1600000000.000001"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := bot(t, w, threads).Send(t.Context(), notifiertest.One()); err != nil {
				t.Fatal(err)
			}
		}
		got := w.posts()
		if len(got) != 2 || got[0].thread != "" || got[1].thread != got[0].ts {
			t.Errorf("shown: %+v", got)
		}
	})
	t.Run("the record is away", func(t *testing.T) {
		t.Parallel()
		w := newWorkspace(t)
		if err := bot(t, w, &memory{broken: true}).Send(t.Context(), notifiertest.One()); err != nil || len(w.posts()) != 1 {
			t.Errorf("%v, shown: %+v", err, w.posts())
		}
	})
	t.Run("no record at all", func(t *testing.T) {
		t.Parallel()
		w := newWorkspace(t)
		if err := bot(t, w, nil).Send(t.Context(), notifiertest.One()); err != nil || len(w.posts()) != 1 {
			t.Errorf("%v, shown: %+v", err, w.posts())
		}
	})
}

// A message whose form Slack refuses goes once more in words alone.
func TestSend_layoutRefused(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_arguments"} {
		for _, way := range []string{"token", "webhook"} {
			t.Run(word+" by "+way, func(t *testing.T) {
				t.Parallel()
				w := newWorkspace(t, refuses(word))
				c := bot(t, w, nil)
				if way == "webhook" {
					w.answers = []answer{{status: 400, body: word}}
					c = channel(t, slack.Options{WebhookURL: w.URL + path})
				}
				if err := c.Send(t.Context(), notifiertest.Digest(25)); err != nil {
					t.Fatal(err)
				}
				got := w.posts()
				if len(got) != 1 || got[0].blocks != 0 || !strings.Contains(got[0].text, "device-02") || !strings.Contains(got[0].text, word) {
					t.Errorf("shown: %+v", got)
				}
			})
		}
	}
	t.Run("the words are refused too", func(t *testing.T) {
		t.Parallel()
		w := newWorkspace(t, refuses("invalid_blocks"), refuses("msg_too_long"), refuses("internal_error"))
		if err := bot(t, w, nil).Send(t.Context(), notifiertest.One()); of(err) != "permanent" || len(w.at) != 2 {
			t.Errorf("%s after %d requests: %v", of(err), len(w.at), err)
		}
	})
	t.Run("the words meet a limit", func(t *testing.T) {
		t.Parallel()
		w := newWorkspace(t, refuses("invalid_blocks"), answer{status: 429, header: http.Header{"Retry-After": {"7"}}})
		err := bot(t, w, nil).Send(t.Context(), notifiertest.One())
		if after, ok := notifier.IsRetryAfter(err); !ok || after != 7*time.Second {
			t.Errorf("%s: %v", of(err), err)
		}
	})
}

func TestSend_tokenAnswers(t *testing.T) {
	t.Parallel()
	wait := http.Header{"Retry-After": {"30"}}
	for _, tc := range []struct {
		name   string
		answer answer
		want   verdict
		after  time.Duration
	}{
		{"ok", answer{}, "sent", 0},
		{"invalid token", refuses("invalid_auth"), "failing", 0},
		{"token revoked", refuses("token_revoked"), "failing", 0},
		{"account gone", refuses("account_inactive"), "failing", 0},
		{"scope missing", refuses("missing_scope"), "failing", 0},
		{"not in the channel", refuses("not_in_channel"), "failing", 0},
		{"channel archived", refuses("is_archived"), "failing", 0},
		{"channel unknown", refuses("channel_not_found"), "failing", 0},
		{"a word that is new", refuses("moon_in_the_way"), "failing", 0},
		{"limit", refuses("ratelimited"), "limited", 0},
		{"limit with a wait", answer{200, `{"ok":false,"error":"ratelimited"}`, wait}, "limited", 30 * time.Second},
		{"HTTP limit", answer{429, `{"ok":false,"error":"ratelimited"}`, nil}, "limited", 0},
		{"HTTP limit with a wait", answer{429, ``, wait}, "limited", 30 * time.Second},
		{"their fault", refuses("internal_error"), "transient", 0},
		{"no JSON", answer{200, `<html>`, nil}, "transient", 0},
		{"HTTP error", answer{503, `<html>`, nil}, "transient", 0},
		{"redirect", answer{302, ``, http.Header{"Location": {"/elsewhere"}}}, "transient", 0},
		{"endless", answer{200, `{"ok":true,"x":"` + strings.Repeat("x", 1<<20), nil}, "transient", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, tc.answer)
			err := bot(t, w, nil).Send(t.Context(), notifiertest.One())
			after, _ := notifier.IsRetryAfter(err)
			if of(err) != tc.want || after != tc.after {
				t.Errorf("%s after %s, want %s after %s: %v", of(err), after, tc.want, tc.after, err)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

// The channel keeps to Slack's one message a second by waiting, and drops none.
func TestSend_pace(t *testing.T) {
	t.Parallel()
	const interval, messages = 30 * time.Millisecond, 6
	w := newWorkspace(t)
	c := channel(t, slack.Options{WebhookURL: w.URL + path, Interval: interval})
	var wg sync.WaitGroup
	begun := time.Now()
	for range messages {
		wg.Go(func() {
			if err := c.Send(t.Context(), notifiertest.One()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Arrivals may bunch up on the way; the last one cannot come early.
	if took := w.at[len(w.at)-1].Sub(begun); len(w.posts()) != messages || took < (messages-1)*interval-5*time.Millisecond {
		t.Errorf("%d messages within %s", len(w.posts()), took)
	}
}

func TestSend_paceIsNoLoss(t *testing.T) {
	t.Parallel()
	w := newWorkspace(t)
	c := channel(t, slack.Options{WebhookURL: w.URL + path, Interval: time.Hour})
	if err := c.Send(t.Context(), notifiertest.One()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Send(ctx, notifiertest.One()); of(err) != "transient" {
		t.Errorf("a message whose turn did not come is %s: %v", of(err), err)
	}
}

// Everything that we say passes a server that is as strict as Slack.
func TestSend_shapes(t *testing.T) {
	t.Parallel()
	messages := notifiertest.Samples()
	messages["worst"], messages["500"], messages["10000"] = notifiertest.Worst(), notifiertest.Digest(500), notifiertest.Digest(10_000)
	worst := notifiertest.Worst().Entries[0]
	var all []alert.Entry
	for range 50 {
		all = append(all, worst)
	}
	messages["50 of the worst"] = notifiertest.Message(all...)
	failed := notifiertest.Failure()
	failed.Entries[0].Alert.Detail = strings.Repeat("It says: <!channel> `&` "+strings.Repeat("x", 300)+"\n", 100)
	messages["a long failure"] = failed
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t)
			if err := channel(t, slack.Options{WebhookURL: w.URL + path}).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if err := bot(t, w, nil).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			w.answers = []answer{refuses("invalid_blocks")}
			if err := bot(t, w, nil).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if got := w.posts(); len(got) != 3 || got[0].blocks == 0 || got[1].blocks == 0 || got[2].blocks != 0 {
				t.Errorf("shown: %+v", got)
			}
		})
	}
}

// The workspace that the tests post to is strict, as they rely on.
func TestWorkspace_refuses(t *testing.T) {
	t.Parallel()
	section := func(text string) string {
		return fmt.Sprintf(`{"type":"section","text":{"type":"mrkdwn","text":%q}}`, text)
	}
	header := `{"type":"header","text":{"type":"plain_text","text":"%s"}}`
	for name, blocks := range map[string][]string{
		"51 blocks":                 slices.Repeat([]string{section("x")}, 51),
		"a header that is too long": {fmt.Sprintf(header, strings.Repeat("x", 151))},
		"an empty header":           {fmt.Sprintf(header, "")},
		"a section too long":        {section(strings.Repeat("x", 3001))},
		"a mention":                 {section("<!channel>")},
		"somebody else's link":      {section("<https://evil.example|here>")},
		"an ampersand":              {section("a & b")},
		"half a code span":          {section("a `b\nc` d")},
		"a key that is not known":   {`{"type":"section","texts":[]}`},
		"a block that is not known": {`{"type":"rich_text"}`},
		"a context of 11":           {`{"type":"context","elements":[` + strings.Repeat(`{"type":"mrkdwn","text":"x"},`, 10) + `{"type":"mrkdwn","text":"x"}]}`},
	} {
		w := newWorkspace(t)
		body := `{"text":"x","blocks":[` + strings.Join(blocks, ",") + `]}`
		response, err := http.Post(w.URL+path, "application/json", strings.NewReader(body)) //nolint:noctx // a test's own server
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || len(w.posts()) > 0 {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
}
