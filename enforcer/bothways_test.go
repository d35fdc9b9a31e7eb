package enforcer_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
)

// A way is a guard that serves HTTP/1.1 by one of the two ways that there are,
// and all that it tells of it.
type way struct {
	*guard
	name        string
	records     chan enforcer.Access
	counts      counts
	connections atomic.Int64
	pair        *tls.Certificate // that ca has issued
	browsers    []*http.Client
}

// newWays returns two guards in the same state and at the same time, which trust
// the same and show the same certificate: the first with the loop of our own.
func newWays(t testing.TB, opts enforcer.Options, change ...func(*enforcer.State)) (ways [2]*way) {
	t.Helper()
	if *netHTTP {
		t.Skip("there is one way only")
	}
	for i, name := range []string{"everyday", "net/http"} {
		w := &way{name: name, records: make(chan enforcer.Access, 1000)}
		ways[i] = w
		opts := opts
		opts.NetHTTPOnly = i == 1
		opts.AccessLog = func(a *enforcer.Access) { w.records <- *a }
		opts.Metrics = enforcer.Metrics{
			Request:     w.counts.request,
			Handshake:   func(resumed bool, err error) { w.counts.add("handshake %v %v", resumed, err) },
			CutOff:      func(application string, reason enforcer.Reason) { w.counts.add("cut off %s %s", application, reason) },
			Origin:      func(application string, _ time.Duration) { w.counts.add("origin %s", application) },
			Connections: func(delta int) { w.connections.Add(int64(delta)) },
		}
		if i == 0 {
			w.guard = newGuardWith(t, opts, change...)
			w.pair = w.james()
			continue
		}
		first := ways[0].guard
		w.guard = newGuardWith(t, opts, append(change, func(s *enforcer.State) {
			s.Bundles, s.Certificates = first.state.Bundles, first.state.Certificates
		})...)
		w.ca, w.other, w.serverCA = first.ca, first.other, first.serverCA
		w.pair = ways[0].pair
		w.clock.advance(first.clock.Now().Sub(w.clock.Now()))
	}
	return ways
}

// told returns what the access log and the metrics have got, when all is over.
func (w *way) told() string {
	w.t.Helper()
	for _, browser := range w.browsers {
		browser.CloseIdleConnections()
	}
	eventually(w.t, "all has ended", func() bool { return w.Flights() == 0 && w.connections.Load() == 0 })
	return w.toldSoFar()
}

func (w *way) toldSoFar() string {
	var b strings.Builder
	for len(w.records) > 0 {
		a := <-w.records
		a.RequestID = ""
		fmt.Fprintf(&b, "%+v\n", a)
	}
	w.counts.mu.Lock()
	defer w.counts.mu.Unlock()
	return b.String() + strings.Join(slices.Sorted(slices.Values(w.counts.lines)), "\n")
}

// browser returns a client whose connections end before told returns.
func (w *way) browser(pair *tls.Certificate, change ...func(*http.Transport)) *http.Client {
	client := w.client(pair, change...)
	w.browsers = append(w.browsers, client)
	return client
}

// converse sends bytes on a connection of its own, in one record, lest a part of
// them be unread when the other end hangs up. It returns what comes until then.
func (w *way) converse(t testing.TB, pair *tls.Certificate, raw string) string {
	t.Helper()
	cfg := w.tls(pair)
	cfg.ServerName, cfg.DynamicRecordSizingDisabled = orders, true
	conn, err := tls.Dial("tcp", w.addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	deadline(t, conn)
	send(t, conn, raw)
	got, err := io.ReadAll(conn)
	end := "closed"
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		end = "open"
	}
	return normal(string(got)) + end
}

var (
	head   = regexp.MustCompile(`(?m)HTTP/1\.[0-9] [0-9]{3} [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n`)
	random = regexp.MustCompile(`[0-9a-f]{32}\b|(?m:^Date: [^\r\n]*\r\n)`)
)

// normal takes out of answers what differs from run to run, and the order of
// header lines.
func normal(answers string) string {
	return head.ReplaceAllStringFunc(random.ReplaceAllString(answers, ""), inOrder)
}

// inOrder sorts the lines of a head but for the first.
func inOrder(head string) string {
	lines := strings.SplitAfter(head, "\r\n")
	slices.Sort(lines[1 : len(lines)-2])
	return strings.Join(lines, "")
}

var requestID = regexp.MustCompile(`(?m)^X-Request-Id: [0-9a-f]{32}\r\n`)

// take returns the requests that have arrived since the last call, each on a
// connection of its own, but for those that broke off.
func (r *recorder) take() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range r.conns {
		one, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw.Bytes())))
		if err == nil {
			_, err = io.Copy(io.Discard, one.Body)
		}
		if err == nil {
			head, body, _ := strings.Cut(requestID.ReplaceAllString(raw.String(), ""), "\r\n\r\n")
			all = append(all, inOrder(head+"\r\n\r\n")+body)
		}
	}
	r.conns = nil
	return all
}

// ends reports whether somebody who reads what a client sends comes to an end of
// its connection, be it by a request that is refused.
func ends(raw string) bool {
	in := bufio.NewReader(strings.NewReader(raw))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return !errors.Is(err, io.ErrUnexpectedEOF)
		}
		if r.Close {
			return true
		}
	}
}

// FuzzBothWays: by whichever way a connection is served, the origin gets the
// same requests, the client the same answers, and the access log the same
// records.
func FuzzBothWays(f *testing.F) {
	for _, seed := range waySeeds() {
		f.Add([]byte(seed))
	}
	rich := func(s *enforcer.State) {
		app := &s.Applications[0]
		app.Forwarding, app.RFC9440, app.TLSClientAuthHeaders = enforcer.ForwardEvery, true, true
		app.RequestHeaders = map[string]string{"X-Client": "{cn}"}
		app.OptionsPreflightBypass = true
		open, shut := *app, *app
		open.Name, open.Path, open.Policies = "open", "/open", []enforcer.Policy{policy("open", enforcer.Bypass, anyone...)}
		shut.Name, shut.Path, shut.Policies = "shut", "/shut", []enforcer.Policy{policy("shut", enforcer.Block, anyone...)}
		s.Applications = append(s.Applications, open, shut)
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}
	ways := newWays(f, enforcer.Options{}, rich)
	var origins [2]*recorder
	for i, w := range ways {
		origins[i] = newRecorder(f)
		origins[i].answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
		for n := range w.state.Applications {
			if app := &w.state.Applications[n]; app.Hostname == orders {
				app.Origin = address(f, "http://"+origins[i].Addr().String())
			}
		}
		w.apply()
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		whole := string(raw) + follow
		if len(whole) > 12<<10 || !ends(whole) {
			t.Skip()
		}
		var got, arrived, told [2]string
		for i, w := range ways {
			_, _ = w.toldSoFar(), origins[i].take()
			w.counts.reset()
			got[i] = w.converse(t, w.pair, whole)
			eventually(t, "all has ended", func() bool { return w.Flights() == 0 && w.connections.Load() == 0 })
			arrived[i] = strings.Join(origins[i].take(), "\n--\n")
			told[i] = w.toldSoFar()
		}
		for what, both := range map[string][2]string{"the client got": got, "the origin got": arrived, "told": told} {
			if diff := cmp.Diff(both[1], both[0]); diff != "" {
				t.Errorf("%s (-net/http +everyday):\n%s", what, diff)
			}
		}
	})
}

func waySeeds() (all []string) {
	const get = getFrom + toHost
	for _, line := range []string{
		"", "Accept: text/html\r\n", "Accept: application/json\r\n", "Connection: keep-alive\r\n", "Connection: Keep-Alive, x-a\r\nX-A: b\r\n",
		"Connection: Cf-Access-Jwt-Assertion\r\nCf-Access-Jwt-Assertion: a\r\n", "Connection: close\r\n", "Connection:\r\n", "Keep-Alive: 5\r\n",
		"Cookie: a=b; CF_Authorization=x; c=d\r\nCookie: cf_authorization=y\r\n", "cookie: a=\"CF_Authorization=x\"\r\n",
		"TE: trailers\r\n", "Expect: 100-continue\r\n", "Upgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
		"X-Forwarded-For: 10.0.0.1\r\nForwarded: for=1.2.3.4\r\n", "X-Request-Id: a\r\n", "Pragma: no-cache\r\n", "X-Tab:\t a\tb \t\r\n", "X-Empty:\r\n",
		"X-High: \x80\xff\r\n", "X-Del: \x7f\r\n", "Proxy-Connection: keep-alive\r\n", "Proxy-Authorization: a\r\n", "Max-Forwards: 0\r\n",
		"Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n", "content-length: 0\r\n", "Content-Length: 00\r\n", "Trailer: X-A\r\n",
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			all = append(all, strings.Replace(get, "GET", method, 1)+line+"\r\n")
		}
	}
	for _, name := range spoofs {
		all = append(all, get+name+": spoofed\r\nConnection: "+name+"\r\n\r\n"+get+name+": spoofed\r\n\r\n")
	}
	for _, target := range []string{
		"/", "/shut", "/shut/x", "/open/../shut", "/open/%2e%2e/shut", "//shut", "/%73hut", "/open//shut", "/open;a=b/x", "/open?a=b#c", "/a%2fb", "/%zz", "/a\\b", "/\xc3\xa4",
		"/cdn-cgi/access/certs", "/cdn-cgi/access/get-identity", "/cdn-cgi/access/logout", "/cdn-cgi/access/x", "/.well-known/certvigil/health", "/.well-known/certvigil/%68ealth", "*", "https://" + orders + "/x",
	} {
		all = append(all, strings.Replace(get, "/x", target, 1)+"\r\n", strings.Replace(post, "/x", target, 1)+"Content-Length: 3\r\n\r\nabc")
	}
	for _, host := range []string{admin, lonely, "nobody.example.com", "a_b", strings.ToUpper(orders), orders + ":443", orders + ".", "[::1]", "xn--a", "a b", ""} {
		all = append(all, getFrom+"Host: "+host+"\r\n\r\n"+get+"\r\n")
	}
	for _, tt := range smuggled {
		all = append(all, tt.raw, get+"\r\n"+tt.raw, tt.raw+get+"\r\n")
	}
	everyday := get + "\r\n" + post + "Content-Length: 3\r\n\r\nabc"
	return append(all, strings.Repeat(everyday, 10), everyday+post+chunks+"\r\n3\r\nabc\r\n0\r\n\r\n"+everyday, strings.Replace(get, "1.1", "1.0", 1)+"\r\n",
		post+"Content-Length: 3\r\n\r\nabc\r\n"+get+"\r\n", get+"\r\n\r\n", strings.Replace(post, "POST", "PUT", 1)+"Content-Length: 3\r\n\r\nabc\r\n",
		get+"X-Big: "+strings.Repeat("x", 9<<10)+"\r\n\r\n", post+"Content-Length: 9000\r\n\r\n"+strings.Repeat("x", 9000), "TRACE"+get[3:]+"\r\n")
}
