package enforcer

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/cert"
)

// An Access is one request that has ended, for the access log. Strings that a
// client chose are as the client sent them: whoever writes them escapes them.
type Access struct {
	Time        time.Time // of its beginning, UTC
	RequestID   string
	Remote      string // the client's address, behind trusted proxies
	Protocol    string // "HTTP/1.1", "HTTP/2.0"
	TLS         string // "1.2", "1.3"
	Resumed     bool
	Method      string
	Host        string
	Path        string // as sent, without the query
	Status      int    // 101 for a WebSocket; 0 if the client left before an answer
	Received    int64  // bytes of the request's body
	Sent        int64  // bytes of the answer's body
	Took        time.Duration
	Origin      time.Duration // until the origin's response head; 0 if it was not asked
	Application string
	Policy      string // that decided
	Action      Action // that admitted; "" in report-only mode, where none did
	Admitted    bool   // passed on to the origin; false for answers of our own, such as the keys
	Reason      Reason // why it was refused, or would have been in report-only mode, or was cut off
	Fingerprint string // of the client's leaf, verified or not
	CommonName  string // of a verified client
	Serial      string // of a verified client's leaf
}

// A tally is what became of a request. It belongs to the goroutine that serves
// the request; the proxy and the answers of our own fill it in.
type tally struct {
	status   int
	received int64
	sent     int64
	origin   time.Duration

	began   time.Time // zero when nobody asks for it
	outcome decision  // by which the request was first answered or passed on
	passed  bool      // on to the origin
	silent  bool      // keep it out of the access log
}

// record hands a request that has ended to the access log, however it ended:
// it runs while the panic that drops a connection passes through.
func (e *Enforcer) record(f *flight, r *http.Request) {
	t := &f.tally
	if t.silent {
		return
	}
	d := &t.outcome
	a := Access{
		Time: t.began.UTC(), RequestID: f.requestID(), Remote: text(f.addr),
		Protocol: r.Proto, Method: r.Method, Host: r.Host, Path: sentPath(r),
		Status: t.status, Received: t.received, Sent: t.sent, Took: e.now().Sub(t.began), Origin: t.origin,
		Application: d.application(), Policy: d.policy, Action: d.action, Reason: d.reason,
		Admitted: t.passed,
	}
	if latest := f.latest(); latest.status != 0 {
		a.Reason = latest.reason // cut off
	}
	if c := f.client; c != nil {
		a.TLS, a.Resumed = strings.TrimPrefix(tls.VersionName(c.version), "TLS "), c.resumed
		a.Fingerprint = c.fingerprint()
	}
	if d.verdict != nil && d.verdict.valid {
		a.CommonName, a.Serial = d.verdict.commonName, cert.Serial(f.client.chain[0])
	}
	e.accessLog(&a)
}

// latest returns the newest decision about a request that was passed on.
func (f *flight) latest() decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.decision
}

func text(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// sentPath returns the path as it was spelled, without the query and, of a
// request in absolute form, without user and password.
func sentPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if strings.HasPrefix(path, "/") || path == "*" {
		return path
	}
	return r.URL.EscapedPath()
}

// requestIDOf returns the id that a request already has: a trusted proxy may
// have given it one, by which its own log knows it.
func requestIDOf(values []string, trusted bool) string {
	const maxRequestID = 128
	if !trusted || len(values) != 1 || len(values[0]) > maxRequestID {
		return ""
	}
	for _, b := range []byte(values[0]) {
		if b != '-' && b != '_' && b != '.' && (b|0x20 < 'a' || b|0x20 > 'z') && (b < '0' || b > '9') {
			return ""
		}
	}
	return values[0]
}
