package app

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/inventory"
)

// secret makes a token of a scope and returns its secret.
func (h *house) secret(scope string) string {
	h.t.Helper()
	token, secret, err := inventory.NewToken(rand.Text(), []string{scope}, "", nil, h.App.o.Now())
	if err == nil {
		err = h.store.CreateToken(h.t.Context(), token, inventory.Actor{Kind: inventory.ActorLocal})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return secret
}

// call asks the admin listener with a token.
func (h *house) call(method, path, secret, body string) (status int, answer string) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.address("admin")+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Timeout: 20 * time.Second}).Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

type keysResult struct {
	Until int       `json:"days_until_next_rotation"`
	Every int       `json:"key_rotation_interval_days"`
	Last  time.Time `json:"last_key_rotation_at"`
}

const keysPath = "/client/v4/accounts/a/access/keys"

// keys asks for what must succeed.
func (h *house) keys(method, path, secret, body string) (out keysResult) {
	h.t.Helper()
	status, text := h.call(method, path, secret, body)
	var envelope struct {
		Result *keysResult `json:"result"`
	}
	if err := json.Unmarshal([]byte(text), &envelope); err != nil || status != http.StatusOK || envelope.Result == nil {
		h.t.Fatalf("%s %s: %d %v\n%s", method, path, status, err, text)
	}
	return *envelope.Result
}

// TestKeys_Rotate: the new key is published at once and signs in an hour, and
// what the old one signed verifies meanwhile and afterwards.
func TestKeys_Rotate(t *testing.T) {
	t.Parallel()
	clock := &testClock{at: time.Now().UTC().Truncate(time.Second)}
	h := newHouse(t, func(h *house) string { h.now = clock.now; return h.guarding(closed, "30d") })
	_, client := h.admit()
	eventually(t, "the client admitted", func() bool { answer, _ := h.ask(client, "/"); return answer.StatusCode == http.StatusOK })
	write, before, began := h.secret(inventory.ScopeWrite), h.cookie(client), clock.now()
	old, _, ok := verify(h.keySet(), before)
	if !ok {
		t.Fatal("the first token does not verify")
	}
	clock.advance(10 * alert.Day)
	if diff := cmp.Diff(keysResult{Until: 32, Every: 42, Last: began}, h.keys(http.MethodGet, keysPath, write, "")); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(keysResult{Until: 42, Every: 42, Last: clock.now()}, h.keys(http.MethodPost, keysPath+"/rotate", write, "")); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	if n := len(h.keySet().Keys); n != 2 {
		t.Fatalf("%d keys are published at once, want both", n)
	}
	if status, text := h.call(http.MethodPost, keysPath+"/rotate", write, ""); status != http.StatusConflict || !strings.Contains(text, "rotate again after that") {
		t.Errorf("while the new key does not sign: %d %s", status, text)
	}
	clock.advance(signAfter)
	if err := h.rotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, second := h.admitAs("another")
	eventually(t, "a token of the new key", func() bool {
		answer, _ := h.ask(second, "/")
		return answer.StatusCode == http.StatusOK
	})
	if kid, _, ok := verify(h.keySet(), h.cookie(second)); !ok || kid == old {
		t.Errorf("an hour later %q signs, and the old one is %q (%t)", kid, old, ok)
	}
	if _, _, ok := verify(h.keySet(), before); !ok {
		t.Error("what the old key signed does not verify any more")
	}
	rows, err := h.store.Audit(t.Context(), inventory.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, r := range rows {
		if r.Action == "key.add" && r.ActorKind == inventory.ActorToken && r.RequestID != "" {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d audit rows tell that a token made a key", made)
	}
}

// TestKeys_Interval counts at once: a key that is older is replaced.
func TestKeys_Interval(t *testing.T) {
	t.Parallel()
	clock := &testClock{at: time.Now().UTC().Truncate(time.Second)}
	h := newHouse(t, func(h *house) string { h.now = clock.now; return h.guarding(closed, "30d") })
	write := h.secret(inventory.ScopeWrite)
	clock.advance(25 * alert.Day)
	if got := h.keys(http.MethodPut, keysPath, write, `{"key_rotation_interval_days":30}`); got.Every != 30 || got.Until != 5 {
		t.Errorf("with 30 days: %+v", got)
	}
	if got := h.keys(http.MethodPut, keysPath, write, `{"key_rotation_interval_days":21.0}`); got.Every != 21 || got.Until != 21 || !got.Last.Equal(clock.now()) {
		t.Errorf("with 21 days: %+v", got)
	}
	if n := len(h.keySet().Keys); n != 2 {
		t.Errorf("%d keys are published", n)
	}
	if got := h.keys(http.MethodGet, keysPath, h.secret(inventory.ScopeRead), ""); got.Every != 21 {
		t.Errorf("it says %+v", got)
	}
}

// TestKeys_FileDecides where it has the key, also from a reload on.
func TestKeys_FileDecides(t *testing.T) {
	t.Parallel()
	text := ""
	h := newHouse(t, func(h *house) string { text = h.guarding(closed, "30d"); return text })
	write := h.secret(inventory.ScopeWrite)
	h.keys(http.MethodPut, keysPath, write, `{"key_rotation_interval_days":30}`)
	h.write("config.toml", strings.Replace(text, "[enforcer]\n", "[enforcer]\nkey_rotation = \"42d\"\n", 1))
	if err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.keys(http.MethodGet, keysPath, write, ""); got.Every != 42 {
		t.Errorf("the file says 42d, the API %+v", got)
	}
	status, answer := h.call(http.MethodPut, keysPath, write, `{"key_rotation_interval_days":30}`)
	if status != http.StatusConflict || !strings.Contains(answer, "enforcer.key_rotation") || !strings.Contains(answer, `"/key_rotation_interval_days"`) {
		t.Errorf("%d %s", status, answer)
	}
	if got := h.keys(http.MethodPost, keysPath+"/rotate", write, ""); got.Every != 42 {
		t.Errorf("a rotation by hand answers %+v", got)
	}
}
