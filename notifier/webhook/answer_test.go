package webhook_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/notifiertest"
	"github.com/certvigil/certvigil/notifier/webhook"
	"github.com/certvigil/certvigil/templates"
)

// retried reports whether err is a failure that is tried again.
func retried(err error) bool {
	return err != nil && !notifier.IsPermanent(err) && !notifier.IsChannelFailing(err)
}

func accepted(err error) bool { return err == nil }

// megabytes writes that many, until nobody reads any more.
func megabytes(w io.Writer, n int) {
	junk := []byte(strings.Repeat("x", 1<<20))
	for range n {
		if _, err := w.Write(junk); err != nil {
			return
		}
	}
}

// drip sends a byte now and then, for as long as somebody reads.
func drip(w http.ResponseWriter, r *http.Request) {
	for {
		_, err := io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
		if err != nil {
			return
		}
	}
}

// TestSend_badAnswers: whatever a receiver answers ends in a clear, bounded
// outcome of that delivery alone.
func TestSend_badAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		check  func(error) bool
		says   string
	}{
		{"100 MB with 500", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			megabytes(w, 100)
		}, retried, "answered 500 Internal Server Error: xxx"},
		{"100 MB with 200", func(w http.ResponseWriter, _ *http.Request) { megabytes(w, 100) }, accepted, ""},
		{"100 MB packed into little", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(400)
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			megabytes(z, 100)
			_ = z.Close()
		}, notifier.IsPermanent, "answered 400 Bad Request: xxx"},
		{"no end with 503", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(503)
			drip(w, r)
		}, retried, "answered 503 Service Unavailable"},
		{"no end with 200", drip, accepted, ""},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, retried, "exceeded"},
		{"100 MB of header", func(w http.ResponseWriter, _ *http.Request) {
			conn, buffer, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = buffer.WriteString("HTTP/1.1 200 OK\r\nX-Long: ")
			megabytes(buffer, 100)
		}, retried, "exceeded"},
		{"another protocol", func(w http.ResponseWriter, _ *http.Request) {
			conn, buffer, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = buffer.WriteString("220 smtp.example.com ESMTP\r\n")
			_ = buffer.Flush()
		}, retried, "malformed HTTP"},
		{"invalid UTF-8, controls and a turned direction", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "a\xff\xfe\x00b\x1b[31m\r\nc\u202Ed\u2028e")
		}, notifier.IsPermanent, "answered 400 Bad Request: a?? b [31m cd e"},
		{"a redirect to elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusMovedPermanently)
		}, retried, "answered 301 Moved Permanently, and redirects are not followed"},
		{"a redirect to itself", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusPermanentRedirect)
		}, retried, "redirects are not followed"},
		{"a redirect with 100 MB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/")
			w.WriteHeader(302)
			megabytes(w, 100)
		}, retried, "redirects are not followed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, got := receive(t, tt.answer)
			timeout := time.Minute // which is not what ends it
			if strings.HasPrefix(tt.name, "no ") {
				timeout = time.Second
			}
			err := channel(t, webhook.Options{URL: server.URL, Format: "standard", Timeout: timeout}).Send(t.Context(), notifiertest.One())
			if !tt.check(err) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q in it", err, tt.says)
			}
			if err != nil && (len(err.Error()) > 600 || !utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), unicode.IsControl)) {
				t.Errorf("not one bounded line: %q", err)
			}
			if n := len(got); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestSend_answerMemory: of 100 MB, no more is kept than a little.
func TestSend_answerMemory(t *testing.T) {
	server, _ := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		megabytes(w, 100)
	})
	c := channel(t, webhook.Options{URL: server.URL})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := c.Send(t.Context(), notifiertest.One()); !retried(err) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

func TestSend_pagerDutyAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		check  func(error) bool
	}{
		{202, accepted},
		{400, notifier.IsPermanent},
		{429, func(err error) bool { _, ok := notifier.IsRetryAfter(err); return ok }},
		{500, retried},
		{503, retried},
	} {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			t.Parallel()
			server, _ := receive(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, `{"status":"x","message":"R0UTINGKEY0123456789012345678901"}`)
			})
			err := channel(t, options(t, webhook.FormatPagerDuty, server.URL)).Send(t.Context(), notifiertest.One())
			if !tt.check(err) {
				t.Errorf("got %v", err)
			}
			wantNoSecret(t, err, "R0UTINGKEY")
		})
	}
}

// What may have opened an incident must not leave it open when it is over: a
// refusal opened none, an answer that was not heard may have, and so did the
// parts before the one that was refused.
func TestSend_MayHaveArrived(t *testing.T) {
	t.Parallel()
	two := notifiertest.Message(append(notifiertest.Renewed().Entries, notifiertest.One().Entries...)...)
	for _, tt := range []struct {
		name    string
		message notifier.Message
		answer  func(w http.ResponseWriter, n int32)
		want    bool
	}{
		{"a refusal", notifiertest.One(), func(w http.ResponseWriter, _ int32) { w.WriteHeader(400) }, false},
		{"a limit", notifiertest.One(), func(w http.ResponseWriter, _ int32) { w.WriteHeader(429) }, false},
		{"overloaded", notifiertest.One(), func(w http.ResponseWriter, _ int32) { w.WriteHeader(503) }, false},
		{"broken", notifiertest.One(), func(w http.ResponseWriter, _ int32) { w.WriteHeader(500) }, true},
		{"a gateway that gave up", notifiertest.One(), func(w http.ResponseWriter, _ int32) { w.WriteHeader(504) }, true},
		{"cut off", notifiertest.One(), func(http.ResponseWriter, int32) { panic(http.ErrAbortHandler) }, true},
		{"the second part limited", two, func(w http.ResponseWriter, n int32) {
			if n > 1 {
				w.WriteHeader(429)
			}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int32
			server, _ := receive(t, func(w http.ResponseWriter, _ *http.Request) { tt.answer(w, posts.Add(1)) })
			err := channel(t, options(t, webhook.FormatPagerDuty, server.URL)).Send(t.Context(), tt.message)
			if err == nil || notifier.IsUncertain(err) != tt.want {
				t.Errorf("uncertain is not %t: %v", tt.want, err)
			}
			if _, limited := notifier.IsRetryAfter(err); limited != strings.Contains(tt.name, "limit") {
				t.Errorf("limited is %t: %v", limited, err)
			}
		})
	}
	server, _ := receive(t, nil)
	server.Close()
	if err := channel(t, options(t, webhook.FormatPagerDuty, server.URL)).Send(t.Context(), notifiertest.One()); err == nil || notifier.IsUncertain(err) {
		t.Errorf("nobody was reached: %v", err)
	}
}

// A routing key is the receiver's own: it signs nothing and stays out of headers.
func TestSend_pagerDutyKey(t *testing.T) {
	t.Parallel()
	server, got := receive(t, nil)
	if err := channel(t, options(t, webhook.FormatPagerDuty, server.URL)).Send(t.Context(), notifiertest.One()); err != nil {
		t.Fatal(err)
	}
	for name, values := range (<-got).header {
		if name == "Webhook-Signature" || name == "Webhook-Timestamp" || strings.Contains(strings.Join(values, " "), "R0UTINGKEY") {
			t.Errorf("%s: %s", name, values)
		}
	}
}

// The incident that a trigger opens is the one that "renewed" resolves.
func TestSend_pagerDutyResolves(t *testing.T) {
	t.Parallel()
	server, got := receive(t, nil)
	c := channel(t, options(t, webhook.FormatPagerDuty, server.URL))
	item := notifiertest.Renewed().Entries[0].Item
	for _, m := range []notifier.Message{
		notifiertest.Message(notifiertest.Entry(*item, 30*24*time.Hour, "expiring")),
		notifiertest.Message(notifiertest.Entry(*item, 14*24*time.Hour, "expiring")), notifiertest.Renewed(),
	} {
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	close(got)
	var story []string
	for r := range got {
		e := decode[map[string]any](t, r.body)
		story = append(story, e["event_action"].(string)+" "+e["dedup_key"].(string))
	}
	key := notifiertest.Renewed().Entries[0].Alert.Key()
	if want := "trigger " + key + ", trigger " + key + ", resolve " + key; strings.Join(story, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(story, ", "), want)
	}
}

// A template that fails on one message ends that delivery alone.
func TestSend_templateFails(t *testing.T) {
	t.Parallel()
	body, err := templates.ParseBody("own.tmpl", "{{if .More}}{{.Nothing}}{{end}}{\"a\": 1}", "application/json")
	if err != nil {
		t.Fatal(err)
	}
	server, got := receive(t, nil)
	c := channel(t, webhook.Options{URL: server.URL, Format: webhook.FormatTemplate, Template: body})
	if err := c.Send(t.Context(), notifiertest.Digest(25)); !notifier.IsPermanent(err) || !strings.Contains(err.Error(), "own.tmpl:1:14") {
		t.Errorf("got %v, want a permanent error with the place", err)
	}
	if len(got) != 0 {
		t.Error("something was posted")
	}
	if err := c.Send(t.Context(), notifiertest.One()); err != nil {
		t.Errorf("the next message: %v", err)
	}
}

func TestSend_contentType(t *testing.T) {
	t.Parallel()
	body, err := templates.ParseBody("own.tmpl", "{{.Title}}", "text/plain; charset=utf-8")
	if err != nil {
		t.Fatal(err)
	}
	server, got := receive(t, nil)
	o := webhook.Options{URL: server.URL, Format: webhook.FormatTemplate, Template: body, ContentType: "text/plain; charset=utf-8"}
	if err := channel(t, o).Send(t.Context(), notifiertest.One()); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.header.Get("Content-Type") != o.ContentType || string(r.body) != notifiertest.One().Words().Headline() {
		t.Errorf("%s: %s", r.header.Get("Content-Type"), r.body)
	}
}

func TestSend_authorization(t *testing.T) {
	t.Parallel()
	server, got := receive(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, strings.Join(r.Header["Authorization"], " "))
	})
	err := channel(t, webhook.Options{URL: server.URL, Format: "standard", Authorization: "GenieKey s3cr3t-key"}).Send(t.Context(), notifiertest.One())
	if h := (<-got).header.Get("Authorization"); h != "GenieKey s3cr3t-key" {
		t.Errorf("Authorization: %q", h)
	}
	if !notifier.IsPermanent(err) {
		t.Error(err)
	}
	wantNoSecret(t, err, "s3cr3t")
}
