package egress_test

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/fault"
)

const (
	private  = "private_target"
	metadata = "metadata_target"
)

// addresses holds both sides of each boundary, by the rule that they break.
var addresses = map[string][]string{
	"": {
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17", "2606:4700:4700::1111",
		"2001:4860:4860::8888", "2a00::1", "3fff:1000::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1",
		"2001:0:101:101::fefe:fefe", "2a00::5efe:1.1.1.1",
	},
	private: {
		"0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
		"127.255.255.255", "169.254.0.1", "169.254.171.0", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.2.1",
		"192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fdff::1", "fe80::1",
		"fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "100::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
		"3fff::1", "1fff::1", "4000::1", "::ffff:127.0.0.1", "::127.0.0.1", "::1.1.1.1", "::ffff:0:127.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b:1::1.1.1.1", "2002:7f00:1::1", "2001:0:101:101::f5ff:fffe",
		"2001:0:a00:1::fefe:fefe", "2a00::5efe:10.0.0.1",
	},
	metadata: {
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192", "168.63.129.16",
		"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe%eth0", "::ffff:169.254.169.254",
		"::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::168.63.129.16", "64:ff9b:1::169.254.169.254",
		"64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0", "2002:a9fe:a9fe::1",
		"2001:0:101:101::5601:5601", "2001:0:a9fe:a9fe::fefe:fefe", "2a00::200:5efe:169.254.169.254",
	},
}

func TestPolicy_Check(t *testing.T) {
	t.Parallel()
	for rule, list := range addresses {
		for _, text := range list {
			addr := netip.MustParseAddr(text)
			checkRule(t, text, egress.Policy{}.Check(addr), rule)
			checkRule(t, text+", private allowed", egress.Policy{AllowPrivate: true}.Check(addr), strings.TrimPrefix(rule, private))
		}
	}
	checkRule(t, "no address", egress.Policy{}.Check(netip.Addr{}), private)
	checkRule(t, "no address, private allowed", egress.Policy{AllowPrivate: true}.Check(netip.Addr{}), private)
}

func checkRule(t *testing.T, what string, err error, rule string) {
	t.Helper()
	refusal, refused := egress.Refused(err)
	switch {
	case refused != (err != nil) || fault.Rule(err) != rule:
		t.Errorf("%s: rule %q, want %q (%v)", what, fault.Rule(err), rule, err)
	case refused && (refusal.Kind != fault.Unprocessable || refusal.Hint == ""):
		t.Errorf("%s: kind %q, hint %q", what, refusal.Kind.Title(), refusal.Hint)
	}
}

func TestPolicy_CheckURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, rule string }{
		{"https://hooks.example.com/x", ""},
		{"https://localhost.example.com/x", ""},
		{"https://10.example.com/", ""},
		{"https://1.1.1.1:8443/x", ""},
		{"https://[2606:4700::1]/x", ""},
		{"https://0xcafe.example/x", ""},
		{"http://127.0.0.1/", private},
		{"http://user:secret@10.0.0.1:80/", private},
		{"http://1.1.1.1@10.0.0.1/", private},
		{"http://[::1]/", private},
		{"http://[::ffff:7f00:1]:80/", private},
		{"http://[fe80::1%25eth0]/", private},
		{"http://localhost:80/", private},
		{"http://LOCALHOST./", private},
		{"http://a.localhost/", private},
		{"http://ip6-localhost/", private},
		{"http://127.1/", private},
		{"http://2130706433/", private},
		{"http://0x7f000001/", private},
		{"http://0177.0.0.1/", private},
		{"http://127.0.0.0x1/", private},
		{"http://１２７.０.０.１/", private},
		{"http://127。0。0。1/", private},
		{"http:///x", private},
		{"mailto:a@example.com", private},
		{"http://169.254.169.254/latest/meta-data/", metadata},
		{"http://[fd00:ec2::254]/", metadata},
		{"http://metadata.google.internal/", metadata},
		{"http://Metadata.Google.Internal./", metadata},
		{"http://instance-data/", metadata},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		checkRule(t, tt.url, egress.Policy{}.CheckURL(u), tt.rule)
		if tt.rule == private && u.Hostname() != "" {
			tt.rule = ""
		}
		checkRule(t, tt.url+", private allowed", egress.Policy{AllowPrivate: true}.CheckURL(u), tt.rule)
	}
}

// TestPolicy_Control dials by a name, as one that was bound anew would be.
func TestPolicy_Control(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	target := net.JoinHostPort("localhost", port)
	dial := func(p egress.Policy, network, address string) error {
		conn, err := (&net.Dialer{Control: p.Control}).DialContext(t.Context(), network, address)
		if err == nil {
			conn.Close()
		}
		return err
	}
	checkRule(t, "a name of this host", dial(egress.Policy{}, "tcp", target), private)
	checkRule(t, "likewise, allowed", dial(egress.Policy{AllowPrivate: true}, "tcp4", target), "")
	checkRule(t, "metadata, private allowed", dial(egress.Policy{AllowPrivate: true}, "tcp", "169.254.169.254:80"), metadata)
	checkRule(t, "what is no address", dial(egress.Policy{AllowPrivate: true}, "unix", "/run/docker.sock"), private)
}

// FuzzCheckURL holds that no spelling of a refused address is let through by
// its literal, and that nothing panics.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"http://[::ffff:127.0.0.1]/", "http://0x7f.1", "http://[fe80::1%25a]", "http://ａ.localhost", "//", "http://1.1.1.1."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		err = egress.Policy{}.CheckURL(u)
		if addr, bad := netip.ParseAddr(u.Hostname()); bad == nil && (addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsMulticast()) && err == nil {
			t.Fatalf("%q is let through", text)
		}
		if _, refused := egress.Refused(err); err != nil && !refused {
			t.Fatalf("%q: %v is no refusal", text, err)
		}
		if wider := (egress.Policy{AllowPrivate: true}).CheckURL(u); wider != nil && err == nil {
			t.Fatalf("%q is refused only where more is allowed: %v", text, wider)
		}
	})
}
