package enforcer_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptrace"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// A rig is a guard of "orders" with two clients: one whom a change concerns,
// and a bystander.
type rig struct {
	*guard
	pair, bystander *tls.Certificate
}

// A change is something that happens to trust while connections are open.
type change struct {
	name          string
	before, after int
	setup, happen func(*rig)
	sparesCA      bool // so that the bystander is of the same CA

	from, until time.Duration // of the leaf, seen from now; a day by default
}

// newRig has a CA beside that of the leaf's.
func newRig(t *testing.T, c change) *rig {
	r := &rig{guard: newStreamGuard(t)}
	now := r.clock.Now()
	r.pair = r.james(certtest.Validity(now.Add(c.from), now.Add(cmp.Or(c.until, 24*time.Hour))))
	second := certtest.NewCA(certtest.CommonName("Second CA"))
	r.state.Bundles = append(slices.Clone(r.state.Bundles), bundle("second", second, orders))
	longer := certtest.Validity(now.AddDate(0, 0, -2), now.AddDate(1, 0, 0))
	r.bystander = leaf(second, certtest.CommonName("Bystander"), longer)
	if c.sparesCA {
		r.bystander = leaf(r.ca, certtest.CommonName("Bystander"), longer)
	}
	r.apply()
	if c.setup != nil {
		c.setup(r)
	}
	return r
}

// changes returns a fresh set of those in which the issue of trust can turn.
func changes(t *testing.T) []change {
	list := func(r *rig, from time.Time, named ...*x509.Certificate) {
		var serials []*big.Int
		for _, c := range named {
			serials = append(serials, c.SerialNumber)
		}
		r.state.RevocationLists = []enforcer.RevocationList{newList(t, r.ca, from, serials...)}
		r.state.Grace = time.Hour
		r.apply()
	}
	later := func(r *rig) { r.clock.advance(2 * time.Hour) }
	key := func(r *rig) string { return spki(&certtest.Certificate{Certificate: r.pair.Leaf}) }
	return []change{
		{name: "revoked", before: 200, after: 403, sparesCA: true, happen: func(r *rig) { r.revoke(cert.Fingerprint(r.pair.Leaf)) }},
		{
			name: "no longer revoked", before: 403, after: 200, sparesCA: true,
			setup: func(r *rig) { r.revoke(cert.Fingerprint(r.pair.Leaf)) }, happen: func(r *rig) { r.state.Revoked = nil; r.apply() },
		},
		{name: "key revoked", before: 200, after: 403, sparesCA: true, happen: func(r *rig) { r.state.RevokedKeys = set(key(r)); r.apply() }},
		{name: "CRL added", before: 200, after: 403, sparesCA: true, happen: func(r *rig) { list(r, r.clock.Now(), r.pair.Leaf) }},
		{
			name: "CRL past its grace", before: 200, after: 403,
			setup: func(r *rig) { list(r, r.clock.Now().Add(-24*time.Hour)) }, happen: later,
		},
		{
			name: "CRL past its grace, kept from now on", before: 403, after: 200,
			setup:  func(r *rig) { list(r, r.clock.Now().AddDate(0, 0, -9)) },
			happen: func(r *rig) { r.state.KeepStale = true; r.apply() },
		},
		{name: "CA removed", before: 200, after: 403, happen: func(r *rig) { r.state.Bundles = r.state.Bundles[1:]; r.apply() }},
		{name: "hostname disassociated", before: 200, after: 403, happen: func(r *rig) {
			r.state.Bundles = slices.Clone(r.state.Bundles)
			r.state.Bundles[0].Hostnames = []string{admin}
			r.apply()
		}},
		{name: "constrained", before: 200, after: 403, happen: func(r *rig) {
			r.state.Bundles = slices.Clone(r.state.Bundles)
			r.state.Bundles[0].Constraints.PermitCN = []string{"device-*"}
			r.apply()
		}},
		{name: "policy changed", before: 200, after: 403, sparesCA: true, happen: func(r *rig) {
			r.state.Applications = slices.Clone(r.state.Applications)
			allow := r.state.Applications[0].Policies[0]
			allow.Action = enforcer.Allow
			block := enforcer.Policy{Name: "none", Action: enforcer.Block, Include: []enforcer.Selector{{CommonName: []string{"James Royal"}}}}
			r.state.Applications[0].Policies = []enforcer.Policy{block, allow}
			r.apply()
		}},
		{name: "leaf expired", before: 200, after: 403, sparesCA: true, until: time.Hour, happen: later},
		{name: "leaf became valid", before: 403, after: 200, sparesCA: true, from: time.Hour, happen: later},
	}
}

// TestTrustTable has each change happen to whatever a client can have open.
// What was admitted before is refused after on the same connection, or the
// reverse, and what is in flight is cut off; the bystander notices nothing.
func TestTrustTable(t *testing.T) {
	t.Parallel()
	for _, medium := range []struct {
		name string
		run  func(*testing.T, *rig, change)
	}{
		{"HTTP1", func(t *testing.T, r *rig, c change) { requests(t, r, c, r.client(r.pair)) }},
		{"HTTP2", streamsOfOne},
		{"TLS12", func(t *testing.T, r *rig, c change) { resumed(t, r, c, tls.VersionTLS12) }},
		{"TLS13", func(t *testing.T, r *rig, c change) { resumed(t, r, c, tls.VersionTLS13) }},
		{"WebSocket", sockets},
		{"events", func(t *testing.T, r *rig, c change) { inFlight(t, r, c, "/events") }},
		{"download", func(t *testing.T, r *rig, c change) { inFlight(t, r, c, "/download") }},
	} {
		for _, c := range changes(t) {
			t.Run(medium.name+" "+c.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, c)
				done := r.stand(t)
				medium.run(t, r, c)
				done()
			})
		}
	}
}

const plain = "https://" + orders + "/plain"

// stand has the bystander make one request after the other on one connection
// until done is called.
func (r *rig) stand(t *testing.T) (done func()) {
	client := r.client(r.bystander)
	wantStatus(t, get(t, client, plain), 200)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(time.Millisecond):
			}
			if err := admitted(client); err != nil {
				stopped <- err
				return
			}
		}
	}()
	return func() {
		t.Helper()
		close(stop)
		if err := <-stopped; err != nil {
			t.Errorf("the bystander: %v", err)
		}
		if a, reused := getTraced(t, client, plain); a.StatusCode != 200 || !reused {
			t.Errorf("the bystander: status %d, connection kept open: %v", a.StatusCode, reused)
		}
	}
}

func admitted(client *http.Client) error {
	res, err := client.Get(plain)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return err
}

// requests makes one before and one after the change on one connection.
func requests(t *testing.T, r *rig, c change, client *http.Client) {
	t.Helper()
	wantStatus(t, get(t, client, plain), c.before)
	c.happen(r)
	a, reused := getTraced(t, client, plain)
	wantStatus(t, a, c.after)
	if !reused {
		t.Error("the connection was not kept open")
	}
}

// streamsOfOne does so beside a stream in flight on the same connection.
func streamsOfOne(t *testing.T, r *rig, c change) {
	client := r.client(r.pair, http2)
	if c.before != http.StatusOK {
		requests(t, r, c, client)
		return
	}
	res := open(t, client, "/events")
	requests(t, r, c, client)
	wantCut(t, res.Body)
}

// resumed does so on a connection that has resumed a session, and then on
// another one. (A session of a certificate that is known to be refused, or from
// before its host name's CAs changed, is not resumed: see TestTickets.)
func resumed(t *testing.T, r *rig, c change, version uint16) {
	v := &visitor{t: t, g: r.guard, version: version}
	one := func() *http.Client {
		return r.client(r.pair, func(tr *http.Transport) {
			tr.TLSClientConfig.ClientSessionCache = &v.session
			tr.TLSClientConfig.MinVersion, tr.TLSClientConfig.MaxVersion = version, version
		})
	}
	wantStatus(t, get(t, one(), plain), c.before)
	client := one()
	a := get(t, client, plain)
	if !a.TLS.DidResume && c.before == http.StatusOK {
		t.Fatal("not resumed")
	}
	requests(t, r, c, client)
	wantStatus(t, get(t, one(), plain), c.after)
}

// inFlight is about an answer that does not end by itself.
func inFlight(t *testing.T, r *rig, c change, path string) {
	client := r.client(r.pair)
	if c.before != http.StatusOK {
		wantStatus(t, get(t, client, "https://"+orders+path), c.before)
		c.happen(r)
		open(t, client, path)
		return
	}
	doomed, spared := open(t, client, path), open(t, r.client(r.bystander), path)
	c.happen(r)
	wantCut(t, doomed.Body)
	alive(t, spared)
	wantStatus(t, get(t, client, plain), c.after)
}

func sockets(t *testing.T, r *rig, c change) {
	client := r.client(r.pair)
	if c.before != http.StatusOK {
		// An upgrade that is refused leaves its connection open, once its answer
		// has been read, which Dial does not do.
		a := get(t, client, "https://"+orders+"/socket", "Connection", "Upgrade", "Upgrade", "websocket")
		wantStatus(t, a, c.before)
		c.happen(r)
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		conn, _, err := websocket.Dial(ctx, "https://"+orders+"/socket", &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		if !reused {
			t.Error("the connection was not kept open")
		}
		echo(t, conn)
		return
	}
	doomed, spared := dialSocket(t, client), dialSocket(t, r.client(r.bystander))
	c.happen(r)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := doomed.Read(ctx); err == nil || ctx.Err() != nil {
		t.Error("the WebSocket is still open")
	}
	echo(t, spared)
	wantStatus(t, get(t, client, plain), c.after)
}

// wantCut wants the answer to break off soon, and not as if it were complete.
func wantCut(t *testing.T, body io.Reader) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, body)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the stream ended as if complete")
		}
	case <-time.After(5 * time.Second):
		t.Error("the stream is still open")
	}
}
