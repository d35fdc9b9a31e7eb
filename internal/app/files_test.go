package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
)

// served returns the certificate of a new handshake.
func (h *house) served(listener string) *x509.Certificate {
	h.t.Helper()
	conn, err := tls.Dial("tcp", h.address(listener), &tls.Config{ServerName: orders, InsecureSkipVerify: true})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

func (h *house) replace(c *certtest.Certificate) {
	h.write("server.pem", string(c.PEM()))
	h.write("server-key.pem", string(c.KeyPEM()))
}

func fileHouse(t *testing.T) *house {
	t.Helper()
	return newHouse(t, func(h *house) string {
		return strings.Replace(h.guarding(open, "30d"), "[admin]\n", "[admin]\ntls_cert = \"server.pem\"\ntls_key = \"server-key.pem\"\n", 1)
	})
}

// A renewed certificate is served within seconds, by both listeners, and
// watched; nobody who is connected notices.
func TestFiles_Reload(t *testing.T) {
	t.Parallel()
	h := fileHouse(t)
	kept := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		MaxConnsPerHost: 1,
		TLSClientConfig: &tls.Config{RootCAs: h.server.Pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, h.address("enforcer"))
		},
	}}
	ask := func() *x509.Certificate {
		answer, err := kept.Get("https://" + orders + "/")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, answer.Body) // so that the connection is kept
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return answer.TLS.PeerCertificates[0]
	}
	old := h.served("enforcer")
	ask()
	renewed := certtest.SelfSigned(certtest.Server(orders))
	h.replace(renewed)
	for _, listener := range []string{"enforcer", "admin"} {
		eventually(t, "the new certificate on the listener "+listener, func() bool { return h.served(listener).Equal(renewed.Certificate) })
	}
	if got := ask(); !got.Equal(old) {
		t.Error("a connection that was open was ended")
	}
	eventually(t, "the new certificate watched", func() bool {
		items, err := h.store.Items(t.Context(), inventory.ItemFilter{Kind: alert.KindServer, Watch: alert.Active})
		return err == nil && slices.ContainsFunc(items, func(i alert.Item) bool { return i.NotAfter.Equal(renewed.NotAfter) && i.Serial != "" })
	})
}

// Kubernetes swaps a symbolic link above the files.
func TestFiles_SymlinkSwap(t *testing.T) {
	t.Parallel()
	renewed := certtest.SelfSigned(certtest.Server(orders))
	h := newHouse(t, func(h *house) string {
		for name, c := range map[string]*certtest.Certificate{"..1": h.server, "..2": renewed} {
			if err := os.Mkdir(filepath.Join(h.dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			h.write(name+"/tls.crt", string(c.PEM()))
			h.write(name+"/tls.key", string(c.KeyPEM()))
		}
		if err := os.Symlink("..1", filepath.Join(h.dir, "data")); err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer("server.pem", "data/tls.crt", "server-key.pem", "data/tls.key").Replace(h.guarding(open, "30d"))
	})
	if err := os.Symlink("..2", filepath.Join(h.dir, "next")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(h.dir, "next"), filepath.Join(h.dir, "data")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate", func() bool { return h.served("enforcer").Equal(renewed.Certificate) })
}

// A certificate whose key is still to come changes nothing. It is said once,
// and taken over when the key is there, also while somebody edits the
// configuration.
func TestFiles_HalfWritten(t *testing.T) {
	t.Parallel()
	h := fileHouse(t)
	renewed := certtest.SelfSigned(certtest.Server(orders))
	h.write("config.toml", "half a configu")
	h.write("server.pem", string(renewed.PEM()))
	const warning = "files that changed are of no use yet"
	eventually(t, "the warning", func() bool { return strings.Contains(h.log.String(), warning) })
	if !h.served("enforcer").Equal(h.server.Certificate) || !h.served("admin").Equal(h.server.Certificate) {
		t.Error("half a pair is in force")
	}
	if !strings.Contains(h.metric(), "certvigil_files_reload_success 0") {
		t.Error("the metrics do not tell of it")
	}
	time.Sleep(2*filesEvery + filesEvery/2) // looks that must not warn again
	h.write("server-key.pem", string(renewed.KeyPEM()))
	eventually(t, "the new certificate", func() bool { return h.served("enforcer").Equal(renewed.Certificate) })
	if n := strings.Count(h.log.String(), warning); n != 1 {
		t.Errorf("it was said %d times, want once:\n%s", n, h.log)
	}
	if !strings.Contains(h.metric(), "certvigil_files_reload_success 1") {
		t.Error("the metrics do not tell that it is mended")
	}
}

// Every file that a listener, an application or a channel works from is watched.
func TestFilesOf(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Admin.TLSCert, cfg.Admin.TLSKey = "a", "b"
	cfg.Enforcer.Certificates = []config.Certificate{{Cert: "c", Key: "d"}}
	cfg.Applications = []config.Application{{OriginCA: "e", OriginCert: "f", OriginKey: "g", DenyPage: "h"}, {}}
	cfg.Channels = []config.Channel{{TemplateFile: "i"}, {}}
	if got := strings.Join(filesOf(&cfg), ""); got != "abcdefghi" {
		t.Errorf("files %q", got)
	}
}
