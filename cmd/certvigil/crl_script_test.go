package main

import (
	"encoding/base64"
	"flag"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
)

// crlFlags say what mkcrl makes.
type crlFlags struct {
	by, revoke, serials, ago, form string
	number                         int64
	days                           int
}

// mkcrl FILE makes the revocation list of a CA that mkcert made.
func mkcrl(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mkcrl FILE -by FILE [-number N] [-revoke FILE,…] [-serials N,…] [-ago SPAN] [-days N] [-form pem|der|base64]")
	}
	var f crlFlags
	flags := flag.NewFlagSet("mkcrl", flag.ContinueOnError)
	flags.StringVar(&f.by, "by", "", "file of the issuer")
	flags.StringVar(&f.revoke, "revoke", "", "files of certificates")
	flags.StringVar(&f.serials, "serials", "", "decimal serial numbers")
	flags.StringVar(&f.ago, "ago", "1h", "how long ago it was issued")
	flags.StringVar(&f.form, "form", "pem", "the encoding")
	flags.Int64Var(&f.number, "number", 0, "CRLNumber; 0 = none")
	flags.IntVar(&f.days, "days", 7, "days from its issue to its next update")
	ts.Check(flags.Parse(args[1:]))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), f.make(ts), 0o600))
}

func (f *crlFlags) make(ts *testscript.TestScript) []byte {
	all := ts.Value(pkiKey).(map[string]*certtest.Certificate)
	ago, err := time.ParseDuration(f.ago)
	ts.Check(err)
	from := time.Now().Add(-ago)
	options := []certtest.CRLOption{certtest.Updates(from, from.Add(time.Duration(f.days)*alert.Day)), certtest.NoCRLNumber()}
	if f.number != 0 {
		options = append(options, certtest.CRLNumber(f.number))
	}
	for name := range strings.SplitSeq(f.revoke, ",") {
		if name != "" {
			options = append(options, certtest.Revoke(all[name]))
		}
	}
	for text := range strings.SplitSeq(f.serials, ",") {
		if n, ok := new(big.Int).SetString(text, 10); ok {
			options = append(options, certtest.RevokeSerials(n))
		}
	}
	switch f.form {
	case "der":
		return all[f.by].CRL(options...)
	case "base64":
		return []byte(base64.StdEncoding.EncodeToString(all[f.by].CRL(options...)))
	}
	return all[f.by].CRLPEM(options...)
}

// publish NAME serves the script's folder over HTTP and sets $NAME to its URL.
func publish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: publish NAME")
	}
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs("."))))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}
