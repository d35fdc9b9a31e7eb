package walkthrough_test

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

const hostileName = `<img src=x onerror="document.title='taken over'"><script>document.title='taken over'</script>`

// fingerprintOf returns the SHA-256 of a certificate's file in hexadecimal digits.
func (w workshop) fingerprintOf(t *testing.T, name string) string {
	t.Helper()
	block, _ := pem.Decode(readFile(t, w.path(name+".pem")))
	return fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
}

// TestProposalsPage: somebody with a token that may write and a keyboard looks at
// CAs that others proposed, and decides. The page comes by plain HTTP from a name,
// where browsers say the least of where a request comes from.
func TestProposalsPage(t *testing.T) {
	w := newWorkshop(t, findPrograms(t))
	const config, host = "ca-config.json", "admin.example.com"
	w.root(t, "ca", w.csr(t, "Access Testing CA"))
	w.root(t, "next", w.lasting(t, "Access Testing CA", "90000h"))
	w.issue(t, "client", "next", config, "client", w.csr(t, "James Royal", ""))
	w.root(t, "hostile", w.csr(t, hostileName))
	w.root(t, "hostile-next", w.lasting(t, hostileName, "90000h"))
	w.root(t, "server-ca", w.csr(t, "Server CA"))
	w.issue(t, "server", "server-ca", config, "server", w.csr(t, "gateway", orders))
	s := newSite(t, w, newListener(t).URL, orders)
	startDaemon(t, w.certvigil, s.config, s.admin)
	mustRun(t, w.dir, w.certvigil, "ca", "add", "--name", "access", "--hostname", orders, "ca.pem", "-c", s.config)
	mustRun(t, w.dir, w.certvigil, "ca", "add", "--name", hostileName, "hostile.pem", "-c", s.config)
	token := func(scope string) string {
		var made struct{ Token string }
		must(t, json.Unmarshal([]byte(mustRun(t, w.dir, w.certvigil, "token", "create", "--name", scope, "--scope", scope, "--json", "-c", s.config).stdout), &made))
		return made.Token
	}
	write, renew := token("write"), token("renew")
	propose := func(name string) {
		out := mustRun(t, w.dir, w.curl, "-sS", "--noproxy", "*", "--data-binary", "@"+name+".pem", "-H", "Authorization: Bearer "+renew, "http://"+s.admin+"/renewals")
		if !strings.Contains(out.stdout, `"proposed"`) {
			t.Fatalf("%s is not proposed: %s", name, out)
		}
	}
	propose("next")
	gateway := browser{w, s.gateway}
	if r := gateway.get(t, orders, "client"); r.status != http.StatusForbidden {
		t.Fatalf("the proposed CA's client, before: %s", r)
	}

	_, port, err := net.SplitHostPort(s.admin)
	must(t, err)
	b := openTab(t, host)
	b.visit(t, "http://"+net.JoinHostPort(host, port)+"/proposals/page")
	enter := func(secret string) {
		t.Helper()
		b.tabTo(t, "#token")
		b.eval(t, `document.activeElement.value = ""`)
		b.paste(t, secret)
		b.press(t, "Enter")
	}

	enter("not-the-token")
	b.says(t, "The token is unknown or has expired.")
	enter(renew)
	b.says(t, `The token has no scope "write".`)
	b.looks(t, "proposals-refused")

	enter(write)
	b.says(t, "1 CA waits")
	for _, words := range []string{"CN=Access Testing CA", "the CA in access, item ", "the token ", "Goes by itself", "in 29 days", "thing to check first", "Public key (SHA-256)", "Another key: what the old CA issued does not verify by the new one", "Lifetime"} {
		b.says(t, words)
	}
	fingerprint := w.fingerprintOf(t, "next")
	for _, place := range []string{"document.body.innerText", "document.cookie", "location.href", "JSON.stringify([{...localStorage}, {...sessionStorage}])", "document.documentElement.outerHTML", `document.getElementById("token").value`} {
		if got := b.eval(t, place); strings.Contains(got, write) || strings.Contains(got, fingerprint) {
			t.Errorf("%s holds the token or the fingerprint", place)
		}
	}

	const confirm = ".proposal .confirm"
	b.tabTo(t, ".proposal input")
	b.paste(t, w.fingerprintOf(t, "ca"))
	b.says(t, "This is not the fingerprint of the proposed CA.")
	b.press(t, "Enter")
	if b.eval(t, `document.querySelector("`+confirm+`").disabled`) != "true" {
		t.Error("a wrong fingerprint confirms")
	}
	b.looks(t, "proposals-wrong")
	if r := gateway.get(t, orders, "client"); r.status != http.StatusForbidden {
		t.Errorf("after a wrong fingerprint: %s", r)
	}
	b.eval(t, `document.activeElement.value = ""`)
	b.paste(t, strings.ToUpper(fingerprint[:32])+": "+fingerprint[32:])
	b.says(t, "This is its fingerprint.")
	b.looks(t, "proposals-right")
	b.tabTo(t, confirm)
	b.press(t, "Enter")
	b.says(t, "Confirmed: it is trusted now")
	b.looks(t, "proposals-confirmed")
	eventually(t, promptly, "the new CA's client enters", func() error {
		if r := gateway.get(t, orders, "client"); r.status != http.StatusOK {
			return fmt.Errorf("%s", r)
		}
		return nil
	})

	propose("hostile-next")
	b.tabTo(t, "#again")
	b.press(t, "Enter")
	b.says(t, "the CA in "+hostileName)
	b.looks(t, "proposals-hostile")
	if got := b.eval(t, `document.querySelectorAll("img").length + document.title + document.querySelectorAll("script").length`); got != "0Proposed CAs1" {
		t.Errorf("a subject became mark-up: %s", got)
	}
	b.tabTo(t, ".proposal .decline")
	b.press(t, "Enter")
	b.says(t, "Press again to decline")
	b.press(t, "Enter")
	b.says(t, "Declined")
	if left := mustRun(t, w.dir, w.certvigil, "ca", "list", "--proposed", "-c", s.config).stdout; strings.Contains(left, "onerror") {
		t.Errorf("it still waits: %s", left)
	}
	b.tabTo(t, "#forget")
	b.press(t, "Enter")
	b.says(t, "The token is forgotten")

	b.call(t, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.visit(t, "http://"+net.JoinHostPort(host, port)+"/proposals/page")
	for _, words := range []string{"This page needs JavaScript", "certvigil ca list --proposed", "certvigil ca confirm --fingerprint FINGERPRINT"} {
		b.says(t, words)
	}
	if b.eval(t, `document.getElementById("token").checkVisibility()`) != "false" {
		t.Error("without JavaScript there is a field for the token")
	}
	b.looks(t, "proposals-unscripted")
}
