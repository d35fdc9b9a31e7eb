package notifier

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/certvigil/certvigil/templates"
)

// How much of an HTTP answer is read, and how much of it is told.
const (
	maxAnswer = 64 << 10
	maxTold   = 200
)

// NewHTTPClient returns a client for destinations that are not trusted to
// behave: a request as a whole has a deadline, redirects are not followed, and
// proxy environment variables are honoured. A nil tlsConfig means the system's roots.
func NewHTTPClient(timeout time.Duration, tlsConfig *tls.Config) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSHandshakeTimeout = min(timeout, 10*time.Second)
	transport.MaxResponseHeaderBytes = maxAnswer
	transport.MaxIdleConnsPerHost = 2
	transport.IdleConnTimeout = 30 * time.Second
	if tlsConfig != nil {
		transport.TLSClientConfig = tlsConfig.Clone()
	}
	return &http.Client{
		Transport:     overheard{transport},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A Control refuses a connection by the address that is about to be dialled, as
// net.Dialer has it.
type Control func(network, address string, c syscall.RawConn) error

// Guard has a client of [NewHTTPClient] dial by the leave of control alone. nil
// refuses nothing. A guarded client uses no proxy, whatever the environment
// says: a proxy would dial an address that control never sees, and that might be
// in the very networks it keeps from.
func Guard(c *http.Client, control Control) {
	if control == nil {
		return
	}
	transport := transportOf(c)
	if transport == nil {
		c.Transport = unguarded{} // fail closed
		return
	}
	transport.Proxy = nil
	transport.DialContext = (&net.Dialer{Timeout: 10 * time.Second, Control: func(network, address string, conn syscall.RawConn) error {
		if err := control(network, address, conn); err != nil {
			return ChannelFailing(err) // only a change of configuration, on either side, mends it
		}
		return nil
	}}).DialContext
}

// transportOf returns what a client of [NewHTTPClient] dials by, nil for another's.
func transportOf(c *http.Client) *http.Transport {
	if o, ok := c.Transport.(overheard); ok {
		return o.next
	}
	return nil
}

// unguarded refuses every request of a client that cannot be guarded.
type unguarded struct{}

// RoundTrip implements [http.RoundTripper].
func (unguarded) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("guarding this client's connections: %w", errors.ErrUnsupported)
}

// LimitBody returns a body that ends after 64 KiB.
func LimitBody(body io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(body, maxAnswer), body}
}

// ReadAnswer reads what an HTTP counterpart said, bounded, in one line. It cuts
// out the given secrets before it cuts off what is too long: half a secret
// would be recognised by nobody later on.
func ReadAnswer(body io.Reader, secrets ...string) string {
	b, _ := io.ReadAll(io.LimitReader(body, maxAnswer))
	return templates.Cut(strings.Join(strings.Fields(templates.OneLine(redacted(string(b), secrets))), " "), maxTold)
}

// ResponseError returns nil for a 2xx status, and else an error that asks for
// what the status means: 400 and 410 are permanent, 401, 403 and 404 mean a
// failing channel, 429 and any answer with Retry-After is a limit, everything
// else is transient. The answer is the counterpart's words and may be empty.
func ResponseError(status int, header http.Header, answer string, now time.Time) error {
	if status >= 200 && status < 300 {
		return nil
	}
	err := fmt.Errorf("answered %d %s", status, http.StatusText(status))
	if status >= 300 && status < 400 {
		err = fmt.Errorf("%w, and redirects are not followed: configure the address that it leads to", err)
	}
	if answer != "" {
		err = fmt.Errorf("%w: %s", err, answer)
	}
	switch status {
	case http.StatusBadRequest, http.StatusGone:
		return Permanent(err)
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return ChannelFailing(err)
	}
	after, said := parseRetryAfter(header.Get("Retry-After"), now)
	if status >= 500 && status != http.StatusServiceUnavailable {
		err = MayHaveArrived(err) // it broke while it took the message, or is a gateway before who took it
	}
	if status == http.StatusTooManyRequests || said && status >= 500 {
		return RetryAfter(err, after)
	}
	return err
}

// parseRetryAfter reads seconds or an HTTP date (RFC 9110 §10.2.3).
func parseRetryAfter(value string, now time.Time) (after time.Duration, ok bool) {
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxLimit/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// TransportError returns an error of http.Client.Do without the URL, which may
// be a secret. A certificate that does not verify, or a counterpart that speaks
// no TLS, means a failing channel; anything else is transient, and but for a
// connection that was never made the message may have arrived.
func TransportError(err error) error {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		err = urlError.Err
	}
	if IsTLSTrouble(err) {
		return ChannelFailing(err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return err
	}
	return MayHaveArrived(err)
}

// IsTLSTrouble reports whether err comes of a certificate that does not verify
// or a counterpart that speaks no TLS: only a change of configuration, on
// either side, mends it.
func IsTLSTrouble(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok
}
