package app_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

// Who tests a channel whose server's CA is not known here is told where CAs
// are added.
func TestTestChannel_HintAtUnknownCA(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "config.toml")
	text := fmt.Sprintf("[[channel]]\nname = \"hook\"\ntype = \"webhook\"\nurl = %q\n", server.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	err = app.TestChannel(t.Context(), cfg, nil, "hook", time.Now, func(string) { t.Error("it was sent") })
	if !strings.Contains(fault.Hint(err), "SSL_CERT_FILE") {
		t.Errorf("TestChannel: %v, hint %q", err, fault.Hint(err))
	}
}
