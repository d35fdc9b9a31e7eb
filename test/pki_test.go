package walkthrough_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A workshop is a folder in which cfssl makes certificates.
type workshop struct {
	programs
	dir string
}

// newWorkshop returns a folder with the page's files in it.
func newWorkshop(t *testing.T, p programs) workshop {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	return workshop{p, dir}
}

func (w workshop) path(name string) string { return filepath.Join(w.dir, name) }

// gencert is `cfssl gencert … | cfssljson -bare NAME`.
func (w workshop) gencert(t *testing.T, name string, args ...string) {
	t.Helper()
	made := mustRun(t, w.dir, w.cfssl, append([]string{"gencert", "-loglevel=2"}, args...)...)
	if r := runWithInput(t, w.dir, []byte(made.stdout), w.cfssljson, "-bare", name); r.code != 0 {
		t.Fatalf("cfssljson -bare %s: %s", name, r)
	}
}

// root makes a self-signed CA: NAME.pem, NAME-key.pem, NAME.csr.
func (w workshop) root(t *testing.T, name, csr string) {
	t.Helper()
	w.gencert(t, name, "-initca", csr)
}

// issue makes a certificate by the page's command.
func (w workshop) issue(t *testing.T, name, ca, config, profile, csr string) {
	t.Helper()
	w.gencert(t, name, "-ca="+ca+".pem", "-ca-key="+ca+"-key.pem", "-config="+config, "-profile="+profile, csr)
}

// csr writes a request like the page's, with a key that is made faster.
func (w workshop) csr(t *testing.T, commonName string, hosts ...string) string {
	t.Helper()
	request := map[string]any{
		"CN": commonName, "hosts": hosts, "key": map[string]any{"algo": "ecdsa", "size": 256},
		"names": []map[string]string{{"C": "US", "L": "Austin", "O": "Access Testing", "OU": "TX", "ST": "Texas"}},
	}
	data, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(w.dir, "*-csr.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(file.Name())
}

// concat writes files one behind the other.
func (w workshop) concat(t *testing.T, name string, parts ...string) {
	t.Helper()
	var all [][]byte
	for _, part := range parts {
		data, err := os.ReadFile(w.path(part))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	if err := os.WriteFile(w.path(name), slices.Concat(all...), 0o600); err != nil {
		t.Fatal(err)
	}
}
