package app

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
)

// logging is a configuration with an access log.
func (h *house) logging(path string) string {
	return strings.Replace(h.guarding(closed, "30d"), "[enforcer]\n", "[enforcer]\naccess_log = \""+path+"\"\n", 1)
}

func (h *house) read(name string) string {
	text, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	return string(text)
}

// What happens on the listener stands in the access log, with the id that a
// refused client is shown; a reload goes on in the file that is named then.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.logging("access.log") })
	_, client := h.admit()
	eventually(t, "admitted", func() bool { answer, _ := h.ask(client, "/a%20b?secret=1"); return answer.StatusCode == http.StatusOK })
	_, page := h.ask(nil, "/refused")
	eventually(t, "both in the log", func() bool {
		text := h.read("access.log")
		return strings.Contains(text, `"path":"/a%20b"`) && strings.Contains(text, `"reason":"no_certificate"`)
	})
	text := h.read("access.log")
	if strings.Contains(text, "secret") || !strings.Contains(text, `"admitted":true`) || !strings.Contains(text, `"common_name":"device"`) {
		t.Errorf("the log:\n%s", text)
	}
	var refused string
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"path":"/refused"`) {
			refused = line
		}
	}
	_, id, _ := strings.Cut(refused, `"request_id":"`)
	if id, _, _ = strings.Cut(id, `"`); id == "" || !strings.Contains(page, id) {
		t.Errorf("the page does not show the id of the line %s", refused)
	}
	h.write("config.toml", h.logging("next.log"))
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next file", func() bool { h.ask(nil, "/later"); return strings.Contains(h.read("next.log"), "/later") })
	for name, config := range map[string]string{"none": h.guarding(closed, "30d"), "a folder that is a file": h.logging("access.log/x")} {
		h.write("config.toml", config)
		if err := h.Reload(t.Context()); fault.Hint(err) == "" {
			t.Errorf("a reload to %s: %v", name, err)
		}
	}
}

func TestAccessLog_CannotBeOpened(t *testing.T) {
	t.Parallel()
	h := &house{t: t, dir: t.TempDir(), log: &record{}, origin: "http://127.0.0.1:1"}
	server := certtest.SelfSigned(certtest.Server(orders))
	h.write("server.pem", string(server.PEM()))
	h.write("server-key.pem", string(server.KeyPEM()))
	h.write("config.toml", h.logging("/dev/null/access.log"))
	if a, err := New(t.Context(), h.options()); a != nil || fault.Hint(err) == "" {
		t.Errorf("a log that cannot be opened: %v, %v", a, err)
	}
}
