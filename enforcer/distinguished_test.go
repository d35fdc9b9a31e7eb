package enforcer_test

import (
	"bytes"
	"encoding/asn1"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/net/http/httpguts"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/header"
)

// An attr is an attribute of a name, of any string type.
type attr struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type attrSET []attr

func text(tag int, value string, oid ...int) attr {
	return attr{oid, asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
}

func encodeName(t testing.TB, sets ...attrSET) []byte {
	t.Helper()
	der, err := asn1.Marshal(sets)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func utf16BE(s string) string {
	var b bytes.Buffer
	for _, unit := range utf16.Encode([]rune(s)) {
		b.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	return b.String()
}

const (
	utf8String, printable, ia5, t61, bmp, universal, visible = 12, 19, 22, 20, 30, 28, 26
)

var names = []struct {
	name                 string
	sets                 []attrSET
	dn, rfc2253, oneline string
}{
	{
		"the page's client",
		[]attrSET{
			{text(printable, "US", 2, 5, 4, 6)},
			{text(utf8String, "Texas", 2, 5, 4, 8)},
			{text(utf8String, "Austin", 2, 5, 4, 7)},
			{text(utf8String, "Access", 2, 5, 4, 10)},
			{text(utf8String, "Access Admins", 2, 5, 4, 11)},
			{text(utf8String, "James Royal", 2, 5, 4, 3)},
		},
		"CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US",
		"CN=James Royal,OU=Access Admins,O=Access,L=Austin,ST=Texas,C=US",
		"/C=US/ST=Texas/L=Austin/O=Access/OU=Access Admins/CN=James Royal",
	},
	{"empty", []attrSET{}, "", "", ""},
	{
		"beyond ASCII",
		[]attrSET{{text(utf8String, "São Paulo", 2, 5, 4, 7)}},
		"L=São Paulo", `L=S\C3\A3o Paulo`, `/L=S\xC3\xA3o Paulo`,
	},
	{
		"what RFC 2253 escapes",
		[]attrSET{{text(utf8String, `Acme, Inc. + "Sons" <x>;\y=1`, 2, 5, 4, 10)}, {text(utf8String, "#hash", 2, 5, 4, 11)}, {text(utf8String, " Jo ", 2, 5, 4, 3)}},
		`CN=\ Jo\ ,OU=\#hash,O=Acme\, Inc. \+ \"Sons\" \<x\>\;\\y=1`,
		`CN=\ Jo\ ,OU=\#hash,O=Acme\, Inc. \+ \"Sons\" \<x\>\;\\y=1`,
		`/O=Acme, Inc. \+ "Sons" <x>;\y=1/OU=#hash/CN= Jo `,
	},
	{
		"control characters",
		[]attrSET{{text(utf8String, "a\r\nHost: b\x00\x7f", 2, 5, 4, 3)}},
		`CN=a\0D\0AHost: b\00\7F`, `CN=a\0D\0AHost: b\00\7F`, `/CN=a\x0D\x0AHost: b\x00\x7F`,
	},
	{
		"a slash, by which the legacy spelling could lie",
		[]attrSET{{text(utf8String, "a/CN=admin", 2, 5, 4, 10)}},
		"O=a/CN=admin", "O=a/CN=admin", `/O=a\/CN=admin`,
	},
	{
		"two attributes in one set",
		[]attrSET{{text(utf8String, "Access", 2, 5, 4, 10)}, {text(utf8String, "Jo", 2, 5, 4, 3), text(utf8String, "u1", 0, 9, 2342, 19200300, 100, 1, 1)}},
		"UID=u1+CN=Jo,O=Access", "UID=u1+CN=Jo,O=Access", "/O=Access/CN=Jo+UID=u1",
	},
	{
		"attributes by their short names, and one without",
		[]attrSET{
			{text(ia5, "org", 0, 9, 2342, 19200300, 100, 1, 25)},
			{text(ia5, "a@example.com", 1, 2, 840, 113549, 1, 9, 1)},
			{text(printable, "7", 2, 5, 4, 5)},
			{text(utf8String, "s", 2, 5, 4, 4)},
			{text(utf8String, "g", 2, 5, 4, 42)},
			{text(utf8String, "st", 2, 5, 4, 9)},
			{text(utf8String, "t", 2, 5, 4, 12)},
			{text(utf8String, "d", 2, 5, 4, 13)},
			{text(utf8String, "p", 2, 5, 4, 17)},
			{text(utf8String, "n", 2, 5, 4, 41)},
			{text(utf8String, "i", 2, 5, 4, 43)},
			{text(printable, "q", 2, 5, 4, 46)},
			{text(utf8String, "o", 2, 5, 4, 97)},
			{text(utf8String, "odd", 1, 2, 3, 4, 5)},
		},
		"1.2.3.4.5=#0C036F6464,organizationIdentifier=o,dnQualifier=q,initials=i,name=n,postalCode=p,description=d,title=t,street=st,GN=g,SN=s,serialNumber=7,emailAddress=a@example.com,DC=org",
		"1.2.3.4.5=#0C036F6464,organizationIdentifier=o,dnQualifier=q,initials=i,name=n,postalCode=p,description=d,title=t,street=st,GN=g,SN=s,serialNumber=7,emailAddress=a@example.com,DC=org",
		"/DC=org/emailAddress=a@example.com/serialNumber=7/SN=s/GN=g/street=st/title=t/description=d/postalCode=p/name=n/initials=i/dnQualifier=q/organizationIdentifier=o/1.2.3.4.5=odd",
	},
	{
		"other string types",
		[]attrSET{{text(t61, "M\xfcller", 2, 5, 4, 10)}, {text(bmp, utf16BE("Ω𝄞"), 2, 5, 4, 11)}},
		"OU=Ω𝄞,O=Müller", `OU=\CE\A9\F0\9D\84\9E,O=M\C3\BCller`, `/O=M\xFCller/OU=\x03\xA9\xD84\xDD\x1E`,
	},
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range names {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw := encodeName(t, tt.sets...)
			for _, s := range []struct{ spelling, got, want string }{
				{"dn", enforcer.RFC2253(raw, false), tt.dn},
				{"rfc2253", enforcer.RFC2253(raw, true), tt.rfc2253},
				{"legacy", enforcer.LegacyName(raw), tt.oneline},
			} {
				if s.got != s.want {
					t.Errorf("%s:\n got %s\nwant %s", s.spelling, s.got, s.want)
				}
			}
		})
	}
}

// TestNames_AgreeWithOpenSSL compares with the program whose spellings they are.
func TestNames_AgreeWithOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is not installed: run `make setup`, or install the package openssl")
	}
	for _, tt := range names {
		if strings.ContainsRune(tt.dn, '𝄞') || tt.dn == "" {
			continue // OpenSSL 3.0 knows no surrogate pairs, and says of no name that it is none
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := certtest.NewCA(certtest.RawSubject(encodeName(t, tt.sets...)))
			for option, want := range map[string]string{"RFC2253,-esc_msb": tt.dn, "RFC2253": tt.rfc2253, "compat": tt.oneline} {
				cmd := exec.CommandContext(t.Context(), openssl, "x509", "-noout", "-subject", "-nameopt", option)
				cmd.Stdin = bytes.NewReader(c.PEM())
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("openssl: %v", err)
				}
				if got := strings.TrimSuffix(strings.TrimPrefix(string(out), "subject="), "\n"); got != want {
					t.Errorf("%s:\nopenssl %s\n   want %s", option, got, want)
				}
			}
		})
	}
}

// TestNames_Unreadable: what is no name, or no text, is left out or dumped.
func TestNames_Unreadable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		raw  []byte
		want string
	}{
		"nothing":               {nil, ""},
		"trailing bytes":        {append(encodeName(t, attrSET{text(utf8String, "a", 2, 5, 4, 3)}), 0), ""},
		"half a unit":           {encodeName(t, attrSET{text(bmp, "abc", 2, 5, 4, 3)}), "CN=#1E03616263"},
		"half a universal unit": {encodeName(t, attrSET{text(universal, "abc", 2, 5, 4, 3)}), "CN=#1C03616263"},
		"no character":          {encodeName(t, attrSET{text(universal, "\xff\xff\xff\xff", 2, 5, 4, 3)}), `CN=\EF\BF\BD`},
		"a universal string":    {encodeName(t, attrSET{text(universal, "\x00\x00\x00A", 2, 5, 4, 3)}), "CN=A"},
		"a visible string":      {encodeName(t, attrSET{text(visible, "A", 2, 5, 4, 3)}), "CN=A"},
		"a number":              {encodeName(t, attrSET{text(2, "\x07", 2, 5, 4, 3)}), "CN=#020107"},
	} {
		if got := enforcer.RFC2253(tt.raw, true); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// FuzzNames holds that no name panics or yields what HTTP would not take.
func FuzzNames(f *testing.F) {
	for _, tt := range names {
		f.Add(encodeName(f, tt.sets...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range []string{enforcer.RFC2253(raw, false), enforcer.RFC2253(raw, true), enforcer.LegacyName(raw)} {
			if value := header.Escape(name, ""); !httpguts.ValidHeaderFieldValue(value) || strings.TrimSpace(value) != value {
				t.Errorf("%x became %q", raw, value)
			}
		}
		if name := enforcer.RFC2253(raw, true); strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%x became %q", raw, name)
		}
	})
}
