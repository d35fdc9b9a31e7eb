package hostname_test

import (
	"testing"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/hostname"
)

func TestNormalizePattern(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"exact", "orders.example.com", "orders.example.com"},
		{"upper case", "Orders.EXAMPLE.com", "orders.example.com"},
		{"trailing dot", "orders.example.com.", "orders.example.com"},
		{"surrounding space", " orders.example.com ", "orders.example.com"},
		{"internationalised", "Bücher.example", "xn--bcher-kva.example"},
		{"one label", "localhost", "localhost"},
		{"wildcard", "*.Example.com", "*.example.com"},
		{"wildcard over a top-level domain", "*.com", ""},
		{"inner wildcard", "a.*.example.com", ""},
		{"bare wildcard", "*", ""},
		{"empty", "", ""},
		{"only a dot", ".", ""},
		{"port", "orders.example.com:443", ""},
		{"URL", "https://orders.example.com/", ""},
		{"IPv4 address", "192.0.2.1", ""},
		{"IPv6 address", "2001:db8::1", ""},
		{"underscore", "a_b.example.com", ""},
		{"empty label", "a..example.com", ""},
		{"NUL", "a\x00.example.com", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := hostname.NormalizePattern(tc.in)
			if got != tc.want {
				t.Errorf("NormalizePattern(%q) = %q, %v; want %q", tc.in, got, err, tc.want)
			}
			if tc.want == "" && !fault.Is(err, fault.Invalid) {
				t.Errorf("NormalizePattern(%q): error %v, want fault.Invalid", tc.in, err)
			}
		})
	}
}

func TestWildcard(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a.example.com": "*.example.com", "example.com": "*.com", "localhost": ""} {
		if got := hostname.Wildcard(in); got != want {
			t.Errorf("Wildcard(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzNormalizePattern(f *testing.F) {
	for _, s := range []string{"orders.example.com", "*.example.com", "Bücher.example", "a..b", "xn--", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		once, err := hostname.NormalizePattern(in)
		if err != nil {
			return
		}
		if twice, err := hostname.NormalizePattern(once); err != nil || twice != once {
			t.Errorf("NormalizePattern is not idempotent: %q → %q → %q, %v", in, once, twice, err)
		}
	})
}
