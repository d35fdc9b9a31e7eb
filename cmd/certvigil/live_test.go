package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/inventory"
)

// Trust is changed by the command line while one connection stays open. This
// test is not parallel to others: it measures time.
func TestLive_OnOneConnection(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "h2": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			s.configure(s.application("orders", guarded))
			ca := certtest.NewCA(certtest.CommonName("Access Testing CA"))
			james := ca.Issue(certtest.CommonName("James Royal"), certtest.Client())
			caFile, jamesFile := s.write("ca.pem", ca.PEM()), s.write("james.pem", james.PEM())
			s.command("cert", "add", jamesFile)
			p := s.start()
			var dialled atomic.Int32
			c := s.client(p, james, http2, func() { dialled.Add(1) })
			if got := c.status(t, guarded); got != http.StatusForbidden {
				t.Fatalf("status %d without any CA, want 403", got)
			}
			for _, change := range []struct {
				args []string
				want int
			}{
				{[]string{"ca", "add", "--name", "access", "--hostname", guarded, caFile}, http.StatusOK},
				{[]string{"cert", "revoke", jamesFile}, http.StatusForbidden},
				{[]string{"cert", "unrevoke", jamesFile}, http.StatusOK},
				{[]string{"ca", "remove", "access"}, http.StatusForbidden},
			} {
				s.command(change.args...)
				c.becomes(t, guarded, change.want, time.Now())
			}
			if n := dialled.Load(); n != 1 {
				t.Errorf("%d connections were made, want 1", n)
			}
			p.terminate()
		})
	}
}

// A proposed CA counts nowhere until it is confirmed, and at once after it.
func TestLive_ConfirmedRenewal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure(s.application("orders", guarded))
	now := time.Now()
	old := certtest.NewCA(certtest.CommonName("Partner CA"), certtest.Validity(now.Add(-alert.Day), now.Add(20*alert.Day)))
	fresh := certtest.NewCA(certtest.CommonName("Partner CA"))
	s.command("ca", "add", "--name", "partner", "--hostname", guarded, s.write("old.pem", old.PEM()))
	secret := strings.TrimSpace(s.command("token", "create", "--name", "pipeline", "--scope", "renew"))
	p := s.start()
	c := s.client(p, fresh.Issue(certtest.Client()), true, nil)
	if code := p.renew(secret, "", fresh.PEM()); code != http.StatusAccepted {
		t.Fatalf("a CA with a new key by a token for any item: %d, want 202", code)
	}
	if got := c.status(t, guarded); got != http.StatusForbidden {
		t.Errorf("a client of the proposed CA: %d, want 403", got)
	}
	proposals := jsonOf[[]inventory.Proposal](t, s.command("ca", "list", "--proposed", "--json"))
	if len(proposals) != 1 || proposals[0].Bundle != "partner" {
		t.Fatalf("proposals: %+v", proposals)
	}
	if table := s.command("ca", "list", "--proposed"); !strings.Contains(table, proposals[0].Fingerprint) {
		t.Errorf("the whole fingerprint is not in:\n%s", table)
	}
	if out := s.command("ca", "confirm", "--fingerprint", proposals[0].Fingerprint); !strings.Contains(out, "the old CA stays trusted") {
		t.Errorf("confirmed:\n%s", out)
	}
	eventually(t, "the confirmed CA's client is admitted", func() bool { return c.status(t, guarded) == http.StatusOK })
	if got := s.client(p, old.Issue(certtest.Client()), true, nil).status(t, guarded); got != http.StatusOK {
		t.Errorf("a client of the old CA: %d, want 200", got)
	}
	p.terminate()
}

// A revoked token, and one made for another item, may nothing.
func TestLive_Tokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure()
	now := time.Now()
	ca := certtest.NewCA(certtest.CommonName("Partner CA"), certtest.Validity(now.Add(-alert.Day), now.Add(20*alert.Day)))
	fresh := certtest.NewCA(certtest.CommonName("Partner CA"))
	caFile := s.write("ca.pem", ca.PEM())
	s.command("ca", "add", "--name", "partner", caFile)
	secret := strings.TrimSpace(s.command("token", "create", "--name", "partner", "--scope", "renew", "--item", caFile))
	p := s.start()
	if code := p.renew("", "", fresh.PEM()); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d, want 401", code)
	}
	if code := p.renew(secret, "partner", fresh.PEM()); code != http.StatusCreated {
		t.Errorf("with the item's token: %d, want 201", code)
	}
	s.command("token", "revoke", "partner")
	if code := p.renew(secret, "partner", fresh.PEM()); code != http.StatusUnauthorized {
		t.Errorf("with a revoked token: %d, want 401", code)
	}
	p.terminate()
	if strings.Contains(p.log.text(), secret) {
		t.Error("the log tells the token")
	}
}

// renew posts a certificate to the daemon and returns the status.
func (p *process) renew(secret, item string, data []byte) int {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.admin+"/renewals", strings.NewReader(string(data)))
	if err != nil {
		p.t.Fatal(err)
	}
	if item != "" {
		req.URL.RawQuery = url.Values{"item": {item}}.Encode()
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode/100 != 2 && !json.Valid([]byte(read(p.t, answer.Body))) {
		p.t.Errorf("the answer %d is no problem+json", answer.StatusCode)
	}
	return answer.StatusCode
}

func read(t *testing.T, r io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Downloads and WebSockets in flight are cut off by a revocation; those of
// other clients go on.
func TestLive_RevocationCutsOff(t *testing.T) {
	t.Parallel()
	chunks := map[string]chan string{"james": make(chan string), "mary": make(chan string)}
	gone := make(chan struct{}, 8)
	origin := http.NewServeMux()
	origin.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case chunk := <-chunks[r.URL.Query().Get("for")]:
				_, _ = io.WriteString(w, chunk)
				_ = http.NewResponseController(w).Flush() // a client that has left is seen by its context
			case <-r.Context().Done():
				gone <- struct{}{}
				return
			}
		}
	})
	origin.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any origin may ask
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		for {
			kind, data, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	})
	s := newSite(t, origin)
	s.configure(s.application("orders", guarded))
	ca := certtest.NewCA()
	james, mary := ca.Issue(certtest.CommonName("James"), certtest.Client()), ca.Issue(certtest.CommonName("Mary"), certtest.Client())
	s.command("ca", "add", "--hostname", guarded, s.write("ca.pem", ca.PEM()))
	jamesFile := s.write("james.pem", james.PEM())
	s.command("cert", "add", jamesFile)
	p := s.start()

	jamesDownload, marysDownload := download(t, s.client(p, james, true, nil), "james", chunks), download(t, s.client(p, mary, true, nil), "mary", chunks)
	jamesSocket, marysSocket := dialSocket(t, s.client(p, james, false, nil)), dialSocket(t, s.client(p, mary, false, nil))
	s.command("cert", "revoke", jamesFile)
	revoked := time.Now()
	if _, err := io.ReadAll(jamesDownload); err == nil {
		t.Error("the download ended as if it were whole")
	}
	if _, _, err := jamesSocket.Read(t.Context()); err == nil {
		t.Error("the WebSocket says something")
	}
	if took := time.Since(revoked); took > promptly {
		t.Errorf("cut off only after %s", took)
	}
	<-gone // the origin was told as well
	chunks["mary"] <- "more"
	if got := make([]byte, 4); true {
		if _, err := io.ReadFull(marysDownload, got); err != nil || string(got) != "more" {
			t.Errorf("the other client's download: %q, %v", got, err)
		}
	}
	echo(t, marysSocket)
	p.log.await(t, "request cut off", "reason=")
	_ = marysDownload.Close()
	_ = marysSocket.CloseNow()
	p.terminate()
}

// download begins a download, the first bytes of which have arrived.
func download(t *testing.T, c *client, name string, chunks map[string]chan string) io.ReadCloser {
	t.Helper()
	answers := make(chan *http.Response, 1)
	go func() {
		answer, err := c.Get("https://" + guarded + "/download?for=" + name)
		if err != nil {
			close(answers)
			return
		}
		answers <- answer
	}()
	chunks[name] <- "begun"
	answer := <-answers
	if answer == nil {
		t.Fatal("the download did not begin")
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if _, err := io.ReadFull(answer.Body, make([]byte, len("begun"))); err != nil {
		t.Fatal(err)
	}
	return answer.Body
}

func dialSocket(t *testing.T, c *client) *websocket.Conn {
	t.Helper()
	conn, answer, err := websocket.Dial(t.Context(), "https://"+guarded+"/socket", &websocket.DialOptions{HTTPClient: c.Client})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body != nil {
		_ = answer.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	echo(t, conn)
	return conn
}

func echo(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, data, err := conn.Read(t.Context()); err != nil || string(data) != "hello" {
		t.Fatalf("the WebSocket answers %q, %v", data, err)
	}
}

// The files that the daemon makes are for its owner alone.
func TestLive_FilesArePrivate(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure(s.application("orders", guarded))
	s.start().terminate()
	for _, name := range []string{"certvigil.db", "certvigil.db.key", "certvigil.db.lock"} {
		info, err := os.Stat(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", name, info.Mode().Perm())
		}
	}
}

// What watches the daemon finds it healthy, ready and counted.
func TestLive_Probes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.configure(s.application("orders", guarded))
	ca := certtest.NewCA()
	s.command("ca", "add", "--hostname", guarded, s.write("ca.pem", ca.PEM()))
	p := s.start()
	s.client(p, ca.Issue(certtest.Client()), true, nil).status(t, guarded)
	s.client(p, nil, true, nil).status(t, guarded)
	p.log.await(t, "msg=scanned")
	for path, wants := range map[string][]string{
		"/healthz": {""},
		"/readyz":  {""},
		"/metrics": {`certvigil_items{kind="ca",watch="active"} 1`, "certvigil_build_info{", `application="orders"`},
	} {
		answer, err := http.Get("http://" + p.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		body := read(t, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not say %q:\n%s", path, want, body)
			}
		}
	}
	p.terminate()
}
