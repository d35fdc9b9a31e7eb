package enforcer_test

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// A lookout is a guard that keeps what it reports of client certificates.
type lookout struct {
	*guard
	mu   sync.Mutex
	seen []enforcer.Sighting
}

func newLookout(t *testing.T, change ...func(*enforcer.State)) *lookout {
	t.Helper()
	l := &lookout{}
	l.guard = newGuardWith(t, enforcer.Options{Sighted: func(s enforcer.Sighting) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.seen = append(l.seen, s)
	}}, change...)
	return l
}

// hostnames returns those of the reports since the last call. A report comes
// before its request is answered.
func (l *lookout) hostnames() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, s := range l.seen {
		names = append(names, s.Hostname)
	}
	l.seen = nil
	return names
}

func (l *lookout) visit(client *http.Client, url string, status int) {
	l.t.Helper()
	if a := get(l.t, client, url); a.StatusCode != status {
		l.t.Fatalf("%s is answered %d, want %d", url, a.StatusCode, status)
	}
}

// TestSighting_Once reports a certificate once for each connection and host,
// again after an hour, and never one that is not vouched for.
func TestSighting_Once(t *testing.T) {
	t.Parallel()
	l := newLookout(t)
	leaf := l.ca.Issue(certtest.Client(), certtest.CommonName("device"))
	client := l.client(new(leaf.TLS()))
	for range 3 {
		l.visit(client, "https://"+orders+"/", http.StatusOK)
	}
	l.mu.Lock()
	if len(l.seen) != 1 {
		l.mu.Unlock()
		t.Fatalf("reported %d times, want once", len(l.seen))
	}
	got := l.seen[0]
	l.mu.Unlock()
	if got.LeafID != sha256.Sum256(leaf.Certificate.Raw) || !got.Leaf.Equal(leaf.Certificate) || got.Hostname != orders || !got.At.Equal(l.clock.Now()) {
		t.Errorf("the report is %+v", got)
	}
	if len(got.Authority) != 1 || !got.Authority[0].Equal(l.ca.Certificate) {
		t.Errorf("the authorities are %v", got.Authority)
	}
	l.hostnames()

	l.clock.advance(59 * time.Minute)
	l.visit(client, "https://"+orders+"/", http.StatusOK)
	if names := l.hostnames(); len(names) > 0 {
		t.Errorf("reported within the hour: %v", names)
	}
	l.clock.advance(time.Minute)
	l.apply() // a new state is no new sighting, an hour is
	l.visit(client, "https://"+orders+"/", http.StatusOK)
	l.visit(client, "https://"+orders+"/", http.StatusOK)
	if names := l.hostnames(); !slices.Equal(names, []string{orders}) {
		t.Errorf("after the hour: %v, want one report", names)
	}

	l.visit(l.client(new(leaf.TLS())), "https://"+orders+"/", http.StatusOK)
	if names := l.hostnames(); !slices.Equal(names, []string{orders}) {
		t.Errorf("on another connection: %v, want one report", names)
	}
}

// TestSighting_OfWhom reports whom a CA vouches for, whatever the policy says.
func TestSighting_OfWhom(t *testing.T) {
	t.Parallel()
	l := newLookout(t, func(s *enforcer.State) {
		s.Applications[0].Policies[0].Include = []enforcer.Selector{{CommonName: []string{"somebody else"}}}
	})
	revoked := l.ca.Issue(certtest.Client())
	l.revoke(cert.Fingerprint(revoked.Certificate))
	for name, tt := range map[string]struct {
		client *certtest.Certificate
		want   []string
	}{
		"valid, and refused by the policy": {l.ca.Issue(certtest.Client()), []string{orders}},
		"no certificate":                   {nil, nil},
		"of another host's CA":             {l.other.Issue(certtest.Client()), nil},
		"expired":                          {l.ca.Issue(certtest.Client(), certtest.Validity(l.clock.Now().Add(-2*time.Hour), l.clock.Now().Add(-time.Hour))), nil},
		"revoked":                          {revoked, nil},
	} {
		client := l.client(nil)
		if tt.client != nil {
			client = l.client(new(tt.client.TLS()))
		}
		l.visit(client, "https://"+orders+"/", http.StatusForbidden)
		if diff := cmp.Diff(tt.want, l.hostnames()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestSighting_Wildcard names hosts as they are configured: what clients make
// up below a wildcard would be without bound.
func TestSighting_Wildcard(t *testing.T) {
	t.Parallel()
	l := newLookout(t, func(s *enforcer.State) {
		s.Applications[0].Hostname = "*.wild.example.com"
	})
	l.state.Bundles[0].Hostnames = []string{"*.wild.example.com", "known.wild.example.com"}
	l.apply()
	leaf := l.ca.Issue(certtest.Client())
	client := l.client(new(leaf.TLS()), func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true })
	for _, host := range []string{"one", "two", "known", "one", "known"} {
		l.visit(client, "https://"+host+".wild.example.com/", http.StatusOK)
	}
	want := []string{"*.wild.example.com", "*.wild.example.com", "known.wild.example.com"} // each name has its own connection
	if diff := cmp.Diff(want, l.hostnames()); diff != "" {
		t.Error(diff)
	}
}
