package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/certvigil/certvigil/internal/fault"
)

// Variable names the file when the command line does not.
const Variable = "CERTVIGIL_CONFIG"

// places is where a file is looked for that nobody named.
var places = []string{"config.toml", "/etc/certvigil/config.toml"}

// Find returns the path of the configuration: the flag, else the variable
// CERTVIGIL_CONFIG, else ./config.toml, else /etc/certvigil/config.toml. It
// returns a fault.NotFound error when there is none. A file that was named is
// not looked for: [Load] says what is wrong with it.
func Find(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if path := os.Getenv(Variable); path != "" {
		return path, nil
	}
	for _, path := range places {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.NotFound, "config", "no configuration: there is neither %s", strings.Join(places, " nor ")).
		WithHint("name one with -c FILE or $%s, or copy config.example.toml to ./config.toml", Variable)
}

// Load reads and checks the file and everything it names. getenv looks up the
// environment, as [os.LookupEnv] does. The error is a fault that lists every
// problem with its place and remedy: fault.Invalid, or fault.NotFound when
// there is no such file.
func Load(path string, getenv func(string) (string, bool)) (*Config, error) {
	doc, c, err := open(path, getenv)
	if err != nil {
		return nil, err
	}
	return c.load(doc)
}

// Reread checks the text of the configuration once more, as it was when it was
// loaded, with what the files that it names hold now. What else was written
// into its own file since does not count.
func (c *Config) Reread(getenv func(string) (string, bool)) (*Config, error) {
	doc := []byte(c.Document.Reveal())
	again, err := newChecker(c.File, doc, getenv)
	if err != nil {
		return nil, err
	}
	return again.load(doc)
}

func (c *checker) load(doc []byte) (*Config, error) {
	cfg := Default()
	cfg.File, cfg.Document = c.file, Secret(doc)
	if !c.decode(doc, &cfg, "") {
		return nil, c.err()
	}
	cfg.preset()
	c.expand(reflect.ValueOf(&cfg).Elem(), "")
	cfg.complete()
	c.validate(&cfg)
	if err := c.err(); err != nil {
		return nil, err
	}
	c.remark(&cfg)
	cfg.Warnings = c.warnings
	return &cfg, nil
}

// LoadStorage reads the [storage] table alone, for the commands that only open
// the store. It is as strict as [Load] about that table, takes no notice of
// the others as long as the file is TOML, and opens no secret.
func LoadStorage(path string) (Storage, error) {
	doc, c, err := open(path, os.LookupEnv)
	if err != nil {
		return Storage{}, err
	}
	part := struct {
		Storage Storage `toml:"storage"`
	}{defaultStorage()}
	if c.decode(doc, &part, "storage") {
		c.expand(reflect.ValueOf(&part).Elem(), "")
		c.validateStorage(&part.Storage)
	}
	if err := c.err(); err != nil {
		return Storage{}, err
	}
	return part.Storage, nil
}

// An Outline is what the commands that only open the store say of what the
// daemon makes of it.
type Outline struct {
	Grace        time.Duration // enforcer.crl_grace; 0 = each list's own
	Applications []Application // with names, host names and policies
}

// LoadOutline reads the outline and opens no secret. What is wrong with the
// file is for [Load] to tell: the error says only that there is no outline.
func LoadOutline(path string) (Outline, error) {
	doc, c, err := open(path, os.LookupEnv)
	if err != nil {
		return Outline{}, err
	}
	cfg := Default()
	if !c.decode(doc, &cfg, "") {
		return Outline{}, c.err()
	}
	cfg.preset()
	c.expand(reflect.ValueOf(&cfg).Elem(), "")
	for i := range cfg.Applications {
		a, at := &cfg.Applications[i], fmt.Sprintf("application[%d]", i)
		c.validateHostname(at+".hostname", a)
		c.validatePolicies(at, a.Policies)
	}
	return Outline{Grace: cfg.Enforcer.CRLGrace.Duration, Applications: cfg.Applications}, c.err()
}

// maxDocument bounds what is read: a configuration is written by people.
const maxDocument = 1 << 20

func open(path string, getenv func(string) (string, bool)) ([]byte, *checker, error) {
	doc, _, err := readFile(path, maxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.New(fault.NotFound, "config", "there is no configuration file %s", path).
			WithHint("name another with -c FILE or $%s, or copy config.example.toml there", Variable)
	}
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "config", "reading the configuration %s: %w", path, err).
			WithHint("see that the file is a regular one and that this user may read it")
	}
	c, err := newChecker(path, doc, getenv)
	return doc, c, err
}

func newChecker(path string, doc []byte, getenv func(string) (string, bool)) (*checker, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "config", "finding the configuration %s: %w", path, err)
	}
	return &checker{file: path, dir: filepath.Dir(abs), layout: locate(doc), getenv: getenv}, nil
}
