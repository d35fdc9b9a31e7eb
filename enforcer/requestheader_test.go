package enforcer_test

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
)

// TestRequestHeaders_values: whatever a CA signed arrives as one safe line.
func TestRequestHeaders_values(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		template string
		option   certtest.Option
		want     string // "": the header is not there
	}{
		{"plain", "{cn}", certtest.CommonName("James Royal"), "James Royal"},
		{"beyond ASCII", "{cn}", certtest.CommonName("João"), `Jo\u00c3\u00a3o`},
		{"its escaped form as a name", "{cn}", certtest.CommonName(`Jo\u00c3\u00a3o`), `Jo\u005cu00c3\u005cu00a3o`},
		{"line breaks", "{cn}", certtest.CommonName("a\r\nCf-Cert-Verified: true\x00"), `a\u000d\u000aCf-Cert-Verified: true\u0000`},
		{"spaces around", "{cn}", certtest.CommonName(" admin "), `\u0020admin\u0020`},
		{"no name", "{cn}", certtest.CommonName(), ""},
		{"no name beside text", "cn={cn};", certtest.CommonName(), "cn=;"},
		{"a placeholder as a name", "{cn}", certtest.CommonName("{serial}"), "{serial}"},
		{"subject", "{subject}", certtest.CommonName("a,CN=admin"), `CN=a\,CN=admin`},
		{"subject beyond ASCII", "{subject}", certtest.CommonName("João"), `CN=Jo\C3\A3o`},
		{"subject with a space at its end", "{subject}", certtest.CommonName("a "), `CN=a\20`},
		{"names", "{san_dns}", certtest.DNS("a.example", "", "b.example"), "a.example,b.example"},
		{"the empty name that cfssl writes", "{san_dns}", certtest.DNS(""), ""},
		{"addresses", "{san_ip}", certtest.IP("192.0.2.7", "2001:db8::7"), "192.0.2.7,2001:db8::7"},
		{"mail", "{san_email}", certtest.Email("a@example.com", "b@example.com"), "a@example.com,b@example.com"},
		{"URI with a comma", "{san_uri}", certtest.URI("spiffe://example.com/a,b"), `spiffe://example.com/a\u002cb`},
		{"over 8 KiB", "{cn}", certtest.CommonName(strings.Repeat("a", 8<<10+1)), ""},
		{"just 8 KiB", "{cn}", certtest.CommonName(strings.Repeat("a", 8<<10)), strings.Repeat("a", 8<<10)},
		{"serial below 16", "{serial}", certtest.Serial(10), "0A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, func(s *enforcer.State) { s.Applications[0].RequestHeaders = map[string]string{"X-Told": tt.template} })
			pair := leaf(g.ca, tt.option, certtest.Client())
			wantStatus(t, get(t, g.client(pair), "https://"+orders+"/", "X-Told", "spoofed"), 200)
			values := (<-g.seen).Header["X-Told"]
			want := []string{tt.want}
			if tt.want == "" {
				want = nil
			}
			if !slices.Equal(values, want) {
				t.Errorf("%.200q arrived, want %.200q", values, want)
			}
		})
	}
}

// TestRequestHeaders_spoofed: no client sends a header that the origin takes
// for ours, in any spelling, on any path to it.
func TestRequestHeaders_spoofed(t *testing.T) {
	t.Parallel()
	asks := func(s *enforcer.State) {
		s.Applications[0].RequestHeaders = map[string]string{"X-CERT-SERIAL": "{serial}", "Device_Name": "{cn}"}
		s.Applications[0].OptionsPreflightBypass = true
	}
	const request = "%s /x HTTP/1.1\r\nHost: " + orders + "\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n" +
		"X-CERT-SERIAL: spoofed\r\nx-cert-serial: spoofed\r\nX_Cert_Serial: spoofed\r\nX.Cert-Serial: spoofed\r\nDevice-Name: spoofed\r\nDEVICE_NAME: spoofed\r\n" +
		"X-Cert-Serials: kept\r\nX-Cert: kept\r\nConnection: X-Cert-Serial, Device_Name\r\n\r\n"
	for _, tt := range []struct {
		name   string
		state  func(*enforcer.State)
		method string
		cert   bool
		told   bool
	}{
		{"admitted", func(*enforcer.State) {}, "GET", true, true},
		{"bypass without certificate", everyoneBypasses, "GET", false, false},
		{"bypass with certificate", everyoneBypasses, "GET", true, false},
		{"report only without certificate", reportsOnly, "GET", false, false},
		{"report only with certificate", reportsOnly, "GET", true, true},
		{"preflight", func(*enforcer.State) {}, "OPTIONS", false, false},
		{"preflight with certificate", func(*enforcer.State) {}, "OPTIONS", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, asks, tt.state)
			var pair *tls.Certificate
			if tt.cert {
				pair = g.james()
			}
			h := g.raw(pair, fmt.Sprintf(request, tt.method)).Header
			for name, values := range h {
				if strings.Contains(strings.Join(values, " "), "spoofed") {
					t.Errorf("%s: %q arrived", name, values)
				}
			}
			if h.Get("X-Cert-Serials") != "kept" || h.Get("X-Cert") != "kept" {
				t.Errorf("other headers were lost: %v", h)
			}
			want := map[bool]string{true: "James Royal"}[tt.told]
			if got := h.Get("Device_name"); got != want || (h.Get("X-Cert-Serial") != "") != tt.told {
				t.Errorf("told %q and %q, want told: %t", got, h.Get("X-Cert-Serial"), tt.told)
			}
		})
	}
}

// TestRequestHeaders_neighbours: an origin that is told of clients by one
// application believes the same header from another.
func TestRequestHeaders_neighbours(t *testing.T) {
	t.Parallel()
	g := newGuard(t, func(s *enforcer.State) {
		s.Applications[0].RequestHeaders = map[string]string{"X-Told": "{cn}"}
		below := s.Applications[0]
		below.Name, below.Path, below.RequestHeaders = "below", "/below", nil
		elsewhere := *below.Origin
		elsewhere.Host = strings.Replace(elsewhere.Host, "127.0.0.1", "localhost", 1)
		below.Origin = &elsewhere
		s.Applications = append(s.Applications, below)
		s.Applications[1].Policies = []enforcer.Policy{{Name: "open", Action: enforcer.Bypass, Include: []enforcer.Selector{{Everyone: true}}}}
		s.Applications[2].Policies = s.Applications[1].Policies
		s.Applications[2].Origin = &elsewhere
	})
	for target, want := range map[string]string{
		"https://" + orders + "/":      "James Royal",
		"https://" + orders + "/below": "", // of the same host
		"https://" + admin + "/":       "", // of the same origin
		"https://" + lonely + "/":      "spoofed",
	} {
		wantStatus(t, get(t, g.client(g.james()), target, "X-Told", "spoofed"), 200)
		if got := (<-g.seen).Header.Get("X-Told"); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

// TestRequestHeaders_refused: a state that asks for what must not be asked for
// is refused whole.
func TestRequestHeaders_refused(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	for name, headers := range map[string]map[string]string{
		"host":                {"Host": "{cn}"},
		"ours":                {"Cf-Access-Jwt-Assertion": "{cn}"},
		"no name":             {"X Told": "{cn}"},
		"unknown placeholder": {"X-Told": "{dn}"},
		"line break":          {"X-Told": "{cn}\r\nHost: x"},
		"two spellings":       {"X-Told": "{cn}", "x_told": "{cn}"},
	} {
		state := g.state
		state.Applications = slices.Clone(state.Applications)
		state.Applications[0].RequestHeaders = headers
		err := g.Apply(state)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(fmt.Sprint(err), `application "orders"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantStatus(t, get(t, g.client(g.james()), "https://"+orders+"/"), 200)
}
