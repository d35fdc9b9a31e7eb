package store_test

import (
	"bytes"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

func TestKeyFile_Refused(t *testing.T) {
	t.Parallel()
	sealed := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "certvigil.db")
		s := openAt(t, store.Options{DSN: path})
		if err := s.AddSigningKey(t.Context(), "kid", []byte("private"), inventory.Actor{}); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hook := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "certvigil.db")
		_, err := openAt(t, store.Options{DSN: path}).PutDestination(t.Context(), func(alerting.Stored) (alerting.Destination, error) {
			return alerting.Destination{ID: "id", Name: "hook", Endpoint: alerting.Endpoint{URL: "https://hooks.example.com/"}}, nil
		}, actor)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := func(t *testing.T) string { return filepath.Join(t.TempDir(), "certvigil.db") }
	other := strings.Repeat("ab", 32)
	for name, row := range map[string]struct {
		store func(*testing.T) string
		text  string // "" = no file
		mode  fs.FileMode
		rule  string
	}{
		"readable by the group": {empty, other, 0o640, "key_file_open_to_others"},
		"readable by all":       {empty, other, 0o604, "key_file_open_to_others"},
		"too short":             {empty, other[:62], 0o600, "key_file_malformed"},
		"too long":              {empty, other + "ab", 0o600, "key_file_malformed"},
		"no key":                {empty, "hello", 0o600, "key_file_malformed"},
		"white space":           {empty, "\n", 0o600, "key_file_malformed"},
		"of another store":      {sealed, other, 0o600, "key_file_mismatch"},
		"missing":               {sealed, "", 0, "key_file_missing"},

		"of another store, with a destination": {hook, other, 0o600, "key_file_mismatch"},
		"missing, with a destination":          {hook, "", 0, "key_file_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := row.store(t)
			_ = os.Remove(path + ".key")
			if row.text != "" {
				writeFile(t, path+".key", row.text, row.mode)
			}
			s := openAt(t, store.Options{DSN: path}) // commands that open no secret go on
			_, err := s.SigningKeys(t.Context())
			addErr := s.AddSigningKey(t.Context(), "new", []byte("private"), inventory.Actor{})
			for _, err := range []error{err, addErr} {
				if !fault.Is(err, fault.Unprocessable) || fault.Rule(err) != row.rule || fault.Hint(err) == "" {
					t.Errorf("got %v (%s)", err, fault.Rule(err))
				}
				if err != nil && row.text != "" && strings.Contains(err.Error(), strings.TrimSpace(row.text)) && len(row.text) > 1 {
					t.Errorf("the error tells the key: %v", err)
				}
			}
			if _, err := os.Stat(path + ".key"); row.text == "" && err == nil {
				t.Error("the key file was made anew")
			}
		})
	}
}

func writeFile(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestKeyFile_Accepted(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{0xAB}, 32)
	for name, text := range map[string]string{
		"hex": hex.EncodeToString(key), "upper-case hex and a line's end": strings.ToUpper(hex.EncodeToString(key)) + "\n",
		"base64": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "elsewhere.key")
			writeFile(t, file, text, 0o400)
			s := openAt(t, store.Options{DSN: filepath.Join(dir, "certvigil.db"), KeyFile: file})
			if err := s.AddSigningKey(t.Context(), "kid", []byte("private"), inventory.Actor{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeyFile_MadeOnceByMany(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	var group sync.WaitGroup
	for _, kid := range []string{"a", "b", "c", "d"} {
		s := openAt(t, store.Options{DSN: path})
		group.Go(func() {
			if err := s.AddSigningKey(t.Context(), kid, []byte(kid), inventory.Actor{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	keys, err := openAt(t, store.Options{DSN: path}).SigningKeys(t.Context())
	if err != nil || len(keys) != 4 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".certvigil-key-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSigningKey_IsSealedToItsRow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	s := openAt(t, store.Options{DSN: path})
	private := certtest.SelfSigned().KeyDER()
	for _, kid := range []string{"one", "two"} {
		if err := s.AddSigningKey(t.Context(), kid, private, inventory.Actor{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		file, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at+16 <= len(private); at += 16 {
			if bytes.Contains(file, private[at:at+16]) {
				t.Fatalf("certvigil.db%s holds bytes %d… of the private key", suffix, at)
			}
		}
	}
	run(t, raw(t, path), `UPDATE signing_keys SET sealed = (SELECT sealed FROM signing_keys WHERE kid = 'one') WHERE kid = 'two'`)
	if keys, err := s.SigningKeys(t.Context()); err == nil {
		t.Errorf("a value copied to another row was opened: %d keys", len(keys))
	}
}

// The key of links is that of the key file: the same at every start, another
// one with another file, and never the key itself.
func TestLinkKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	keyOf := func() []byte {
		t.Helper()
		key, err := openAt(t, store.Options{DSN: path}).LinkKey(t.Context())
		if err != nil || len(key) != 32 {
			t.Fatalf("%d bytes, %v", len(key), err)
		}
		return key
	}
	writeFile(t, path+".key", strings.Repeat("ab", 32), 0o600)
	first := keyOf()
	if !bytes.Equal(first, keyOf()) {
		t.Error("another key at the next start: the links of sent mails are dead")
	}
	if raw, err := hex.DecodeString(strings.Repeat("ab", 32)); err != nil || bytes.Equal(first, raw) {
		t.Error("the key of links is the key that seals")
	}
	writeFile(t, path+".key", strings.Repeat("cd", 32), 0o600)
	if bytes.Equal(first, keyOf()) {
		t.Error("the same key by another key file")
	}
}
