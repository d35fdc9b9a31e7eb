package notifier

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/certvigil/certvigil/templates"
)

// A Speaker says whose a line of a conversation is.
type Speaker string

// The speakers.
const (
	We    Speaker = ">"
	They  Speaker = "<"
	Aside Speaker = "*" // what happens in between
)

// A Listener is told a conversation line by line, by one goroutine at a time.
type Listener func(by Speaker, line string)

type listenerKey struct{}

// Overhear returns a context whose Send tells what the channel says to its
// counterpart and what it answers, with the secrets cut out: for whoever tries a
// channel out. A line holds no control characters, and is cut off where it is
// too long.
func Overhear(ctx context.Context, tell Listener) context.Context {
	return listening(ctx, func(by Speaker, line string) { tell(by, templates.Cut(templates.OneLine(line), maxLine)) })
}

// maxLine is how much of a line is told.
const maxLine = 300

// Hiding returns a context whose listener, if there is one, is told without the
// given secrets, which the counterpart may know and say back.
func Hiding(ctx context.Context, secrets ...string) context.Context {
	tell := ListenerOf(ctx)
	if tell == nil {
		return ctx
	}
	return listening(ctx, func(by Speaker, line string) { tell(by, redacted(line, secrets)) })
}

func listening(ctx context.Context, tell Listener) context.Context {
	return context.WithValue(ctx, listenerKey{}, tell)
}

// ListenerOf returns who listens to what is sent with ctx, nil when nobody does.
func ListenerOf(ctx context.Context) Listener {
	tell, _ := ctx.Value(listenerKey{}).(Listener)
	return tell
}

// Redacted is what stands in the place of a secret.
const Redacted = "[redacted]"

// shownHeaders are those of a request whose values are no secrets.
var shownHeaders = []string{"Content-Type", "User-Agent", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}

// An overheard transport tells the conversation to who listens.
type overheard struct{ next *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (o overheard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := Hiding(req.Context(), requestSecrets(req)...)
	tell := ListenerOf(ctx)
	if tell == nil {
		return o.next.RoundTrip(req)
	}
	tellRequest(tell, req)
	resp, err := o.next.RoundTrip(req)
	if err != nil {
		tell(Aside, TransportError(err).Error())
		return nil, err
	}
	tellAnswer(tell, resp)
	return resp, nil
}

// requestSecrets are the parts of a request that are not shown.
func requestSecrets(req *http.Request) []string {
	secrets := URLSecrets(req.URL)
	for name, values := range req.Header {
		if !slices.Contains(shownHeaders, name) {
			for _, value := range values {
				secrets = append(append(secrets, value), strings.Fields(value)...)
			}
		}
	}
	return secrets
}

func tellRequest(tell Listener, req *http.Request) {
	tell(We, fmt.Sprintf("%s %s://%s/%s", req.Method, req.URL.Scheme, req.URL.Host, hidden(strings.TrimPrefix(req.URL.RequestURI(), "/"))))
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		value := strings.Join(req.Header[name], ", ")
		if !slices.Contains(shownHeaders, name) {
			value = hidden(value)
		}
		tell(We, name+": "+value)
	}
	tell(We, fmt.Sprintf("(%d bytes)", req.ContentLength))
}

// tellAnswer tells the answer's head and beginning, and leaves its body to be
// read as it was.
func tellAnswer(tell Listener, resp *http.Response) {
	tell(They, resp.Proto+" "+resp.Status)
	for _, name := range []string{"Content-Type", "Location", "Retry-After"} {
		if value := resp.Header.Get(name); value != "" {
			tell(They, name+": "+value)
		}
	}
	begin, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if len(begin) > 0 {
		tell(They, string(begin))
	}
	if err != nil {
		tell(Aside, TransportError(err).Error())
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), resp.Body), resp.Body}
}

// hidden stands for what may be a secret, where there is something.
func hidden(value string) string {
	if value == "" {
		return ""
	}
	return Redacted
}
