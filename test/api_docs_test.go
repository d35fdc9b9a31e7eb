package walkthrough_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shellBlock is a block of commands that docs/api.md shows.
var shellBlock = regexp.MustCompile("(?s)\n```sh\n(.*?)```\n")

// TestDocumentedCommands carries out the commands of docs/api.md in their
// order. Each has to succeed; the id is that of the first one's answer.
func TestDocumentedCommands(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t, findPrograms(t))
	w.root(t, "ca", w.csr(t, "Access Testing CA"))
	w.root(t, "ca-renewed", w.lasting(t, "Access Testing CA", "87600h"))
	w.root(t, "server-ca", w.csr(t, "Server CA"))
	w.issue(t, "server", "server-ca", "ca-config.json", "server", w.csr(t, "gateway", orders))
	s := newSite(t, w, newListener(t).URL, orders)
	// The destination of the page is on this machine here.
	hook := newListener(t)
	appendTo(t, s.config, "\n[notifier]\nallow_private_targets = true\n")
	startDaemon(t, w.certvigil, s.config, s.admin)
	m := newManager(t, w, s)

	blocks := shellBlock.FindAllStringSubmatch(string(doc), -1)
	if len(blocks) < 20 {
		t.Fatalf("docs/api.md shows %d blocks of commands", len(blocks))
	}
	var id string
	ids := map[string]string{} // of other objects, by the variable that has it
	for _, block := range blocks {
		script := "set -euo pipefail\nexport NO_PROXY='*'\n" +
			"BASE=http://" + s.admin + "/client/v4/accounts/0123456789abcdef\nTOKEN=" + m.token + "\nID=" + id +
			"\nHOOK=" + hook.URL + "\nDESTINATION=" + ids["DESTINATION"] + "\nPOLICY=" + ids["POLICY"] +
			"\nAPP=" + ids["APP"] + "\nSTAFF=" + ids["STAFF"] + "\n" + block[1]
		r := runWithInput(t, w.dir, []byte(script), "bash", "-s")
		var envelope struct {
			Success bool            `json:"success"`
			Result  json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal([]byte(r.stdout), &envelope); r.code != 0 || err != nil || !envelope.Success {
			t.Fatalf("%v\n%s\n%s", err, block[1], r)
		}
		var made struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(envelope.Result, &made) // a listing has no id of its own
		if id == "" {
			id = made.ID
		}
		for name, collection := range map[string]string{"DESTINATION": "destinations/webhooks\"", "POLICY": "v3/policies\"", "APP": "access/apps\"", "STAFF": "access/policies\""} {
			if ids[name] == "" && strings.Contains(block[1], collection) {
				ids[name] = made.ID
			}
		}
		if strings.Contains(block[1], "ca-renewed.pem") && !strings.Contains(string(envelope.Result), `"id": "`+id+`"`) {
			t.Errorf("the renewal answers %s", envelope.Result)
		}
	}
}

// appendTo adds text to a file.
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	data := append(readFile(t, path), text...)
	if err := os.WriteFile(filepath.Clean(path), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// lasting writes a request for a CA that lasts for a span.
func (w workshop) lasting(t *testing.T, commonName, span string) string {
	t.Helper()
	name := w.csr(t, commonName)
	var request map[string]any
	if err := json.Unmarshal(readFile(t, w.path(name)), &request); err != nil {
		t.Fatal(err)
	}
	request["ca"] = map[string]string{"expiry": span}
	data, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Clean(w.path(name)), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
