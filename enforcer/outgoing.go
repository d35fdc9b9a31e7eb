package enforcer

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/enforcer/origin"
)

// An outgoing is a request on its way to an origin. They are used again: a
// request costs no header map and no copy of one.
type outgoing struct {
	request origin.Request
	fields  []origin.Field
	upload  *upload // nil without a body; never used again, since whoever sent it may close it late
	client  http.ResponseWriter
	inform  func(status int) // informational
}

var outgoings = sync.Pool{New: func() any {
	o := new(outgoing)
	o.inform = o.informational
	return o
}}

func (o *outgoing) release() {
	clear(o.fields)
	*o = outgoing{fields: o.fields[:0], inform: o.inform}
	outgoings.Put(o)
}

// prepare turns the client's request into ours.
func (o *outgoing) prepare(w http.ResponseWriter, in *http.Request, x *exchange) {
	o.client = w
	q := &o.request
	q.Method, q.Host, q.Header = in.Method, in.Host, w.Header()
	clear(q.Header) // what goes beside any answer is set again then
	q.Target = target(x.app.base, in)
	q.Trailers = httpguts.HeaderValuesContainsToken(in.Header["Te"], "trailers")
	if in.ContentLength != 0 && in.Body != nil && in.Body != http.NoBody {
		o.upload = &upload{body: in.Body, control: http.NewResponseController(w), gone: in.Context().Done()}
		q.Body, q.Length = o.upload, in.ContentLength
		q.ExpectContinue = httpguts.HeaderValuesContainsToken(in.Header["Expect"], "100-continue")
	} else if asksForWebSocket(in) {
		q.Upgrade = "websocket"
	}
	if in.ProtoAtLeast(1, 1) { // HTTP/1.0 knows no informational answers
		q.Informational = o.inform
	}
	o.passOn(in.Header, x.app.owned)
	o.setForwarded(x, in)
	o.setIdentity(x)
	q.Fields = o.fields
}

// informational passes a 1xx answer on. While the client waits to be asked for
// the body, the question may be on its way from the goroutine that reads it.
func (o *outgoing) informational(status int) {
	if o.request.ExpectContinue {
		if !o.upload.mu.TryLock() {
			return
		}
		defer o.upload.mu.Unlock()
	}
	o.client.WriteHeader(status)
}

// asksForWebSocket reports whether the request asks to switch to WebSocket, in
// the one form of RFC 6455. Any other protocol (h2c) would carry requests that
// nobody judges.
func asksForWebSocket(in *http.Request) bool {
	up := in.Header["Upgrade"]
	return in.ProtoMajor == 1 && in.ProtoMinor == 1 && in.Method == http.MethodGet && in.ContentLength == 0 &&
		len(up) == 1 && strings.EqualFold(up[0], "websocket") &&
		httpguts.HeaderValuesContainsToken(in.Header["Connection"], "upgrade")
}

// misframed reports whether the request announces another length than it has.
// Over HTTP/2 its frames have the say, and net/http compares only some of what
// a client announces.
func misframed(in *http.Request) bool {
	for _, announced := range in.Header["Content-Length"] {
		if n, err := strconv.ParseInt(announced, 10, 64); err != nil || n != in.ContentLength {
			return true
		}
	}
	return false
}

// target keeps path and query byte for byte, behind the origin's own path.
// What is not in origin form is left for the check of the whole request.
func target(base string, in *http.Request) string {
	raw := in.RequestURI
	if in.ProtoMajor == 1 && !strings.HasPrefix(raw, "/") { // absolute form (RFC 9112 §3.2.2)
		raw = in.URL.RequestURI()
	}
	if base == "" || !strings.HasPrefix(raw, "/") {
		return raw
	}
	return base + raw
}

// passOn takes over what a client may say to an origin: nothing that ends at
// this hop, by its name or by the client's Connection, and nothing that only
// we may set. It runs on every path to an origin, bypass and report-only
// included, and before anything is set, so that Connection cannot name ours.
func (o *outgoing) passOn(h http.Header, owned map[string]bool) {
	named := connectionOptions(h["Connection"])
	for name, values := range h {
		if origin.HopByHop(name) || ourFraming[name] || reserved(name, owned) || named[name] {
			continue
		}
		for _, v := range values {
			o.set(name, v)
		}
	}
}

// connectionOptions returns the names that a client's Connection holds to this
// hop, in canonical form; nil when there are none. They are read once: both the
// list and the fields may be thousands.
func connectionOptions(lines []string) map[string]bool {
	var named map[string]bool
	for _, line := range lines {
		for option := range strings.SplitSeq(line, ",") {
			name := http.CanonicalHeaderKey(strings.Trim(option, " \t"))
			if name == "" || name == "Keep-Alive" { // which goes no further anyway
				continue
			}
			if named == nil {
				named = map[string]bool{}
			}
			named[name] = true
		}
	}
	return named
}

// ourFraming are the fields that are written anew, whatever the client's were.
// Cookies are among them for the sake of our own.
var ourFraming = map[string]bool{"Content-Length": true, "Host": true, "Expect": true, "Cookie": true}

func (o *outgoing) set(name, value string) {
	o.fields = append(o.fields, origin.Field{Name: name, Value: value})
}

func (o *outgoing) setIdentity(x *exchange) {
	cookies := stripCookie(x.cookies)
	if x.assertion.value != "" {
		o.set(headerAssertion, x.assertion.value)
		// The cookie carries the short-lived token too: nothing that lives
		// longer leaves for the origin.
		cookie := x.assertion.pair()
		if len(cookies) > 0 {
			cookie = strings.Join(cookies, "; ") + "; " + cookie
		}
		o.set("Cookie", cookie)
	} else {
		for _, line := range cookies {
			o.set("Cookie", line)
		}
	}
	for _, f := range x.told {
		for _, v := range f.values {
			o.set(f.name, v)
		}
	}
	if x.certificate {
		c := x.flight.client
		o.set(headerCertDER, c.der())
		o.set(headerCertHash, hex.EncodeToString(c.leafID[:]))
	}
}
