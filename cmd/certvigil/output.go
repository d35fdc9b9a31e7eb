package main

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/cert"
	"github.com/certvigil/certvigil/internal/fault"
)

// withJSON gives a command the flag --json.
func (e *env) withJSON(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&e.json, "json", false, "print JSON for programs")
	return cmd
}

// print writes v as JSON when asked for, else what people calls for.
func (e *env) print(v any, people func()) error {
	if !e.json {
		people()
		return nil
	}
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (e *env) printf(format string, args ...any) { _, _ = fmt.Fprintf(e.stdout, format, args...) }

func (e *env) warn(warnings []string) {
	for _, w := range warnings {
		_, _ = fmt.Fprintf(e.stderr, "warning: %s\n", w)
	}
}

// table writes aligned columns; an empty one says so in a word.
func (e *env) table(none string, head []string, rows [][]string) {
	if len(rows) == 0 {
		e.printf("%s\n", none)
		return
	}
	w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
}

// orEmpty makes JSON print [] in place of null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (e *env) ends(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(time.RFC3339) + " (" + alert.FormatLeft(t, e.now()) + ")"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(time.RFC3339)
}

func short(id string) string { return id[:min(12, len(id))] }

// maxInput is one byte more than any upload may have, so that the rule about
// size is told by the one who holds it.
const maxInput = cert.MaxSize + 1

// readInput reads a file, or standard input for "-".
func (e *env) readInput(path string) ([]byte, error) { return e.readUpTo(path, maxInput) }

func (e *env) readUpTo(path string, limit int64) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(e.stdin, limit))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "file", "%w", err).WithHint("name a file that this user may read, or - for standard input")
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}

// reference turns the PEM file of a certificate into its fingerprint; anything
// else is a reference already.
func (e *env) reference(arg string) (string, error) {
	info, err := os.Stat(arg)
	if err != nil || info.IsDir() {
		return arg, nil
	}
	c, err := e.readCertificate(arg)
	if err != nil {
		return "", err
	}
	return cert.Fingerprint(c), nil
}

// readCertificate returns the first certificate of a PEM file.
func (e *env) readCertificate(path string) (*x509.Certificate, error) {
	data, err := e.readInput(path)
	if err != nil {
		return nil, err
	}
	all, err := cert.ParsePEMCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return all[0], nil
}

// redacted is a URL without its password; anything else is as it is.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}
