package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"flag"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// TestScripts runs every scenario of testdata/script with the real program.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Values[pkiKey] = map[string]*certtest.Certificate{}
			env.Values[receiversKey] = map[string]*receiver{}
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "mkcert": mkcert, "mkcrl": mkcrl, "publish": publish, "bundle": bundle, "noise": noise, "mask": mask, "capture": capture,
			"receiver": startReceiver, "received": received, "silent": silent,
		},
	})
}

// The keys of what a script keeps.
type valueKey int

const (
	pkiKey valueKey = iota
	receiversKey
)

// exits CODE COMMAND… runs a command that must end with that very exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// mkcert ca|leaf|csr FILE makes a certificate, or a signing request, and its
// key beside it: "ca-key.pem" for "ca.pem".
func mkcert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mkcert ca|leaf|csr FILE [-subject CN] [-by FILE] [-days N] [-from TIME] [-until TIME] [-key FILE] …")
	}
	all := ts.Value(pkiKey).(map[string]*certtest.Certificate)
	kind, file := args[0], args[1]
	var f certFlags
	ts.Check(f.parse(args[2:]))
	c := f.make(ts, all, kind)
	all[file] = c
	data := c.PEM()
	if kind == "csr" {
		data = c.CSR()
	}
	ts.Check(os.WriteFile(ts.MkAbs(file), data, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(strings.TrimSuffix(file, ".pem")+"-key.pem"), c.KeyPEM(), 0o600))
}

// certFlags say what mkcert makes.
type certFlags struct {
	subject, by, from, until, key, dns string
	days                               int
	serial                             int64
	notCA, ed25519, pss                bool
}

func (f *certFlags) parse(args []string) error {
	flags := flag.NewFlagSet("mkcert", flag.ContinueOnError)
	flags.StringVar(&f.subject, "subject", "Test", "common name")
	flags.StringVar(&f.by, "by", "", "file of the issuer; none = self-signed")
	flags.StringVar(&f.from, "from", "", "not before")
	flags.StringVar(&f.until, "until", "", "not after")
	flags.StringVar(&f.key, "key", "", "file of the certificate whose key to use")
	flags.StringVar(&f.dns, "dns", "", "DNS name")
	flags.IntVar(&f.days, "days", 365, "days left, and a minute")
	flags.Int64Var(&f.serial, "serial", 0, "serial number")
	flags.BoolVar(&f.notCA, "notca", false, "CA:FALSE")
	flags.BoolVar(&f.ed25519, "ed25519", false, "an Ed25519 key")
	flags.BoolVar(&f.pss, "pss", false, "signed with RSA-PSS")
	return flags.Parse(args)
}

func (f *certFlags) make(ts *testscript.TestScript, all map[string]*certtest.Certificate, kind string) *certtest.Certificate {
	now := time.Now()
	from, until := now.Add(-40*alert.Day), now.Add(time.Duration(f.days)*alert.Day+time.Minute)
	for _, at := range []struct {
		text string
		to   *time.Time
	}{{f.from, &from}, {f.until, &until}} {
		if at.text != "" {
			parsed, err := time.Parse(time.RFC3339, at.text)
			ts.Check(err)
			*at.to = parsed
		}
	}
	options := []certtest.Option{certtest.CommonName(f.subject), certtest.Validity(from, until)}
	add := func(yes bool, more ...certtest.Option) {
		if yes {
			options = append(options, more...)
		}
	}
	add(kind == "leaf" && f.dns == "", certtest.Client())
	add(f.dns != "", certtest.Server(f.dns))
	add(f.serial != 0, certtest.Serial(f.serial))
	add(f.notCA, certtest.IsCA(false))
	add(f.ed25519, certtest.Ed25519())
	add(f.pss, certtest.RSA(2048), certtest.Signature(x509.SHA256WithRSAPSS))
	if f.key != "" {
		add(true, certtest.Key(all[f.key].Key))
	}
	issuer := all[f.by]
	if f.by != "" && issuer == nil {
		ts.Fatalf("no certificate was made as %s", f.by)
	}
	switch {
	case kind == "ca" && issuer == nil:
		return certtest.NewCA(options...)
	case kind == "ca":
		return issuer.Intermediate(options...)
	case issuer == nil:
		return certtest.SelfSigned(options...)
	}
	return issuer.Issue(options...)
}

// bundle TO FILE… writes files one after the other.
func bundle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bundle TO FILE…")
	}
	var b bytes.Buffer
	for _, file := range args[1:] {
		b.WriteString(ts.ReadFile(file))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// noise FILE BYTES writes random bytes.
func noise(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: noise FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	data := make([]byte, n)
	_, err = rand.Read(data)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// capture NAME FILE REGEXP sets $NAME to the first group of the expression.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture NAME FILE REGEXP")
	}
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) < 2 {
		ts.Fatalf("%s matches nothing in %s", args[2], args[1])
	}
	ts.Setenv(args[0], found[1])
}

// masks are what differs from run to run, and what stands for it.
var masks = map[*regexp.Regexp]string{
	regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`): "<uuid>",
	regexp.MustCompile(`\b[0-9a-f]{32}\b`):                                             "<id>",
	regexp.MustCompile(`\b[0-9a-f]{64}\b`):                                             "<sha256>",
	regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{3}\b`):                                  "<uuid…>",
	regexp.MustCompile(`\b[0-9a-f]{12}\b`):                                             "<sha256…>",
	regexp.MustCompile(`\b20[2-4]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`):                "<time>",
	regexp.MustCompile(`cvt_[\w-]{43}`):                                                "<secret>",
	regexp.MustCompile(`\b(127\.0\.0\.1|\[::1\]):\d+`):                                 "<address>",
	regexp.MustCompile(`in \d{4,5} d( \d+ h)?`):                                        "in <left>",
	regexp.MustCompile(`\b[0-9A-F]{30,40}\b`):                                          "<serial>",
}

// mask FILE OUT replaces what differs from run to run, the folder included.
func mask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mask FILE OUT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(masked(ts.ReadFile(args[0]), ts.Getenv("WORK"))), 0o600))
}

// masked is text without ids, times, addresses and the folder. Trailing blanks
// and the widths of columns go too, since they depend on what was masked.
func masked(text, folder string) string {
	text = strings.ReplaceAll(text, folder, "<dir>")
	longest := slices.SortedFunc(maps.Keys(masks), func(a, b *regexp.Regexp) int { return len(b.String()) - len(a.String()) })
	for _, re := range longest {
		text = re.ReplaceAllString(text, masks[re])
	}
	if !tableHead.MatchString(text) {
		return text
	}
	return columns.ReplaceAllString(text, "$1  ")
}

// A table begins with a line of capitals. What stands between its cells depends
// on how long the longest one was before it was masked.
var (
	tableHead = regexp.MustCompile(`(?m)^[A-Z]{2,} {2,}[A-Z]`)
	columns   = regexp.MustCompile(`(\S) {2,}`)
)
