package origin_test

import (
	"net"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/enforcer/origin"
	"github.com/certvigil/certvigil/internal/egress"
)

// TestGuard holds that a guarded target is judged by the address that is
// dialled, also where its host is a name, and that it has no use of a
// connection that another target was allowed to make.
func TestGuard(t *testing.T) {
	t.Parallel()
	s, p := answering(t, okay), newPool(t, origin.Options{})
	if _, _, err := do(t, p, s.target(), get()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is kept", func() bool { return p.Idle() == 1 })
	_, port, _ := net.SplitHostPort(s.Addr().String())
	for name, tt := range map[string]struct {
		addr  string
		guard egress.Policy
		why   string // of the refusal; "" = it is dialled
	}{
		"an address":          {s.Addr().String(), egress.Policy{}, "private or reserved network"},
		"a name":              {"localhost:" + port, egress.Policy{}, "private or reserved network"},
		"one that is allowed": {s.Addr().String(), egress.Policy{AllowPrivate: true}, ""},
		"one that never is":   {"169.254.169.254:80", egress.Policy{AllowPrivate: true}, "metadata service"},
	} {
		for _, scheme := range []string{origin.HTTP, origin.H2C, origin.HTTPS} {
			if tt.why == "" && scheme != origin.HTTP {
				continue
			}
			before := s.accepted.Load()
			_, body, err := do(t, p, &origin.Target{Scheme: scheme, Addr: tt.addr, Guard: &tt.guard}, get())
			switch {
			case tt.why == "" && (err != nil || body != "ok" || s.accepted.Load() != before+1):
				t.Errorf("%s: %q, %v, on a connection of its own: %t", name, body, err, s.accepted.Load() == before+1)
			case tt.why != "" && (err == nil || !strings.Contains(err.Error(), tt.why) || s.accepted.Load() != before):
				t.Errorf("%s by %s: %v; dialled: %t", name, scheme, err, s.accepted.Load() != before)
			}
		}
	}
	if _, _, err := do(t, p, s.target(), get()); err != nil {
		t.Errorf("the target that is not guarded: %v", err)
	}
}
