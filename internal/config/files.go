package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

const (
	maxSecret = 64 << 10
	maxPEM    = 1 << 20
)

// abs makes a path that the file names absolute, counted from the file.
func (c *checker) abs(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.dir, path)
}

// secret reads the file of the key "<key>_file" into value. Both keys set is
// a problem, and so is a file without a secret in it.
func (c *checker) secret(at, key string, value *Secret, file *string) {
	if *file == "" {
		return
	}
	fileKey := join(at, key+"_file")
	if *value != "" {
		c.fail(fileKey, "keep one of the two", "%s is set as well", key)
		return
	}
	*file = c.abs(*file)
	text, mode, err := readFile(*file, maxSecret)
	if err != nil {
		c.fail(fileKey, "see that the file is there and that this user may read it", "%s", err)
		return
	}
	c.warnReadable(fileKey, *file, mode)
	trimmed := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if trimmed == "" {
		c.fail(fileKey, "write the secret into it", "%s is empty", *file)
		return
	}
	if strings.ContainsFunc(trimmed, unicode.IsControl) {
		c.fail(fileKey, "write the secret alone into it, on one line", "%s holds more than one line", *file)
		return
	}
	*value = Secret(trimmed)
}

// keyPair reads a certificate and its key. It records a problem and reports
// false when they do not make a pair.
func (c *checker) keyPair(certKey, certFile, keyKey, keyFile string) (tls.Certificate, bool) {
	certPEM, _, err := readFile(certFile, maxPEM)
	if err != nil {
		c.fail(certKey, "see that the file is there and that this user may read it", "%s", err)
		return tls.Certificate{}, false
	}
	keyPEM, mode, err := readFile(keyFile, maxPEM)
	if err != nil {
		c.fail(keyKey, "see that the file is there and that this user may read it", "%s", err)
		return tls.Certificate{}, false
	}
	c.warnReadable(keyKey, keyFile, mode)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		c.fail(certKey, "give the certificate with its chain as PEM, and the key that belongs to it",
			"%s and %s make no pair: %s", certFile, keyFile, strings.TrimPrefix(err.Error(), "tls: "))
		return tls.Certificate{}, false
	}
	return pair, true
}

func (c *checker) warnReadable(key, file string, mode fs.FileMode) {
	if mode.Perm()&0o004 != 0 {
		c.warn("%s: every user can read %s: make it 0600", key, file)
	}
}

// readFile returns what a regular file of at most limit bytes holds. Anything
// else is refused, since opening a pipe or a device may block for ever.
func readFile(path string, limit int64) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, causeOf(err))
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, causeOf(err))
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", path, err)
	}
	if int64(len(text)) > limit {
		return nil, 0, fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return text, info.Mode(), nil
}

// causeOf drops the operation and the path, which the message has already.
func causeOf(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
