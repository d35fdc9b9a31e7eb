package slack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// A workspace is a server that behaves as Slack is documented to: it refuses
// what Slack would refuse, and shows what Slack would show.
type workspace struct {
	*httptest.Server

	mu      sync.Mutex
	answers []answer // of the next requests; those behind them are judged by their shape
	shown   []post
	at      []time.Time // of every request
}

// An answer is what a workspace is told to say.
type answer struct {
	status int
	body   string
	header http.Header
}

// A post is what a workspace shows.
type post struct {
	text, thread string
	broadcast    bool
	blocks       int
	ts           string
}

func newWorkspace(t *testing.T, answers ...answer) *workspace {
	t.Helper()
	w := &workspace{answers: answers}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *workspace) posts() []post {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]post(nil), w.shown...)
}

// refuses tells what Slack says of a method of the Web API.
func refuses(word string) answer {
	return answer{status: http.StatusOK, body: fmt.Sprintf(`{"ok":false,"error":%q}`, word)}
}

// ServeHTTP implements [http.Handler].
func (w *workspace) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = append(w.at, time.Now())
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	if len(w.answers) > 0 {
		a := w.answers[0]
		w.answers = w.answers[1:]
		if a.status != 0 {
			for name, values := range a.header {
				rw.Header()[name] = values
			}
			rw.WriteHeader(a.status)
			_, _ = io.WriteString(rw, a.body)
			return
		}
	}
	if r.URL.Path == path {
		w.hook(rw, body)
		return
	}
	w.method(rw, r, body)
}

// hook is an incoming webhook.
func (w *workspace) hook(rw http.ResponseWriter, body []byte) {
	var m struct {
		Text            string
		Blocks          []json.RawMessage
		ReplaceOriginal bool  `json:"replace_original"`
		DeleteOriginal  bool  `json:"delete_original"`
		UnfurlLinks     *bool `json:"unfurl_links"`
		UnfurlMedia     *bool `json:"unfurl_media"`
	}
	word := strictly(body, &m)
	if word == "" {
		word = w.show(post{text: m.Text, blocks: len(m.Blocks)}, m.Blocks)
	}
	if word != "" {
		http.Error(rw, word, http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(rw, "ok")
}

// method is chat.postMessage, the one method that is called.
func (w *workspace) method(rw http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	word := ""
	switch {
	case err != nil || r.URL.Path != "/api/chat.postMessage":
		word = "unknown_method"
	case form.Get("token") != token && r.Header.Get("Authorization") != "Bearer "+token:
		word = "invalid_auth"
	case form.Get("channel") != "#ops":
		word = "channel_not_found"
	}
	p := post{text: form.Get("text"), thread: form.Get("thread_ts"), broadcast: form.Get("reply_broadcast") == "true"}
	var blocks []json.RawMessage
	if form.Has("blocks") && word == "" {
		word = strictly([]byte(form.Get("blocks")), &blocks)
	}
	p.blocks = len(blocks)
	if word == "" {
		word = w.show(p, blocks)
	}
	if word != "" {
		_, _ = fmt.Fprintf(rw, `{"ok":false,"error":%q}`, word)
		return
	}
	_, _ = fmt.Fprintf(rw, `{"ok":true,"channel":"C1","ts":%q}`, w.shown[len(w.shown)-1].ts)
}

// show takes a message that has the shape that Slack asks for, or returns
// Slack's word for what is wrong with it.
func (w *workspace) show(p post, blocks []json.RawMessage) string {
	if p.text == "" {
		return "no_text"
	}
	if utf8.RuneCountInString(p.text) > 4000 {
		return "msg_too_long"
	}
	if len(blocks) > 50 || !escaped(p.text) {
		return "invalid_blocks"
	}
	for _, b := range blocks {
		if !isBlock(b) {
			return "invalid_blocks"
		}
	}
	if p.thread != "" && !w.has(p.thread) {
		return "thread_not_found"
	}
	p.ts = fmt.Sprintf("1700000000.%06d", len(w.shown)+1)
	w.shown = append(w.shown, p)
	return ""
}

// has reports whether a message is there that can be answered.
func (w *workspace) has(ts string) bool {
	for _, p := range w.shown {
		if p.ts == ts && p.thread == "" {
			return true
		}
	}
	return false
}

// strictly decodes JSON without unknown keys.
func strictly(body []byte, into any) string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil {
		return "invalid_payload"
	}
	return ""
}

// A text is a composition object of Block Kit.
type text struct {
	Type, Text string
	Emoji      *bool
	Verbatim   bool
}

func (t text) is(kind string, most int) bool {
	n := utf8.RuneCountInString(t.Text)
	return t.Type == kind && n > 0 && n <= most && (kind == "plain_text" || t.Emoji == nil && escaped(t.Text))
}

// isBlock holds a block to https://docs.slack.dev/reference/block-kit/blocks.
func isBlock(raw json.RawMessage) bool {
	var b struct {
		Type     string
		Text     *text
		Elements []text
	}
	if strictly(raw, &b) != "" {
		return false
	}
	switch b.Type {
	case "header":
		return b.Text != nil && b.Text.is("plain_text", 150) && b.Elements == nil
	case "section":
		return b.Text != nil && b.Text.is("mrkdwn", 3000) && b.Elements == nil
	case "context":
		ok := b.Text == nil && len(b.Elements) > 0 && len(b.Elements) <= 10
		for _, e := range b.Elements {
			ok = ok && e.is("mrkdwn", 3000)
		}
		return ok
	}
	return false
}

var (
	ourLink = regexp.MustCompile(`<https://certvigil\.example\.com[^<>|\s]*(\|[A-Za-z ]+)?>`)
	entity  = regexp.MustCompile(`&(amp|lt|gt);`)
)

// escaped reports whether a text holds no markup of Slack's but our own links,
// and closes every code span in the line it began in.
func escaped(s string) bool {
	rest := entity.ReplaceAllString(ourLink.ReplaceAllString(s, ""), "")
	for line := range strings.SplitSeq(rest, "\n") {
		if strings.Count(line, "`")%2 != 0 {
			return false
		}
	}
	return !strings.ContainsAny(rest, "<>&")
}
