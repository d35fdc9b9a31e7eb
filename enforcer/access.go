package enforcer

import "time"

// An Access is one request that has ended, for the access log. Strings that a
// client chose are as the client sent them: whoever writes them escapes them.
type Access struct {
	Time        time.Time // of its beginning, UTC
	RequestID   string    // "" if none was needed: admitted requests get one only for the log
	Remote      string    // the client's address, behind trusted proxies
	Protocol    string    // "HTTP/1.1", "HTTP/2.0"
	TLS         string    // "1.2", "1.3"
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
	Action      Action // that admitted
	Admitted    bool
	Reason      Reason // why it was refused, or would have been in report-only mode, or was cut off
	Fingerprint string // of the client's leaf
	CommonName  string // of a verified client
	Serial      string
}

// A tally is what became of a request. It belongs to the goroutine that serves
// the request; the proxy and the answers of our own fill it in.
type tally struct {
	status   int
	received int64
	sent     int64
	origin   time.Duration
}
