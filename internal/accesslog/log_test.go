package accesslog_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/accesslog"
	"github.com/certvigil/certvigil/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A record is a log that tests read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// A desk is an access log under test.
type desk struct {
	*accesslog.Log

	t       *testing.T
	path    string
	dropped atomic.Int64
	failing atomic.Bool
	log     record
}

func openDesk(t *testing.T, path string, sample float64) *desk {
	t.Helper()
	d := &desk{t: t, path: path}
	l, err := accesslog.Open(accesslog.Options{
		Path: path, Sample: sample, Logger: slog.New(slog.NewTextHandler(&d.log, nil)),
		Dropped: func(n int) { d.dropped.Add(int64(n)) }, Failing: d.failing.Store,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Log = l
	return d
}

func (d *desk) close() {
	d.t.Helper()
	if err := d.Close(); err != nil {
		d.t.Error(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(8 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func admitted(id string) *enforcer.Access {
	return &enforcer.Access{RequestID: id, Method: "GET", Path: "/", Status: 200, Admitted: true}
}

var (
	began = time.Date(2026, 3, 1, 11, 59, 59, 7_999_999, time.FixedZone("", -3600))
	full  = enforcer.Access{
		Time: began, RequestID: "8c7d3054c785f2b3", Remote: "2001:db8::1", Protocol: "HTTP/2.0", TLS: "1.3", Resumed: true,
		Method: "POST", Host: "orders.example.com", Path: "/a%20b", Status: 200, Received: 12, Sent: 5_000_000_000,
		Took: 1234567 * time.Nanosecond, Origin: time.Millisecond, Application: "orders", Policy: "devices", Action: enforcer.ServiceAuth,
		Admitted: true, Reason: enforcer.ReasonRevoked, Fingerprint: "ab12", CommonName: "James Royal", Serial: "01AB",
	}
	hostile = enforcer.Access{
		Time: began, Method: "GET\"}\n{\"", Host: "h\x1b[2J\u009b2J\x7f\r\n", Path: "/\xff<&>\u2028\x00", Reason: enforcer.ReasonBadPath, Status: 400,
	}
)

// People parse these lines: a key that changes breaks what they built.
func TestWrite_Golden(t *testing.T) {
	t.Parallel()
	d := openDesk(t, filepath.Join(t.TempDir(), "access.log"), 1)
	d.Write(&full)
	d.Write(&enforcer.Access{Time: began.Truncate(time.Second), Method: "GET", Path: "/"})
	d.Write(&hostile)
	d.close()
	got := read(t, d.path)
	const golden = "testdata/lines.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, golden), got); diff != "" {
		t.Errorf("lines (-want +got; go test -update rewrites):\n%s", diff)
	}
	for line := range strings.Lines(got) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestWrite_Samples(t *testing.T) {
	t.Parallel()
	const many = 2000
	for name, tt := range map[string]struct {
		sample       float64
		access       enforcer.Access
		least, below int
	}{
		"all":                         {1, enforcer.Access{Admitted: true}, many, many + 1},
		"none":                        {0, enforcer.Access{Admitted: true}, 0, 1},
		"a tenth":                     {0.1, enforcer.Access{Admitted: true}, many / 20, many / 5},
		"refused":                     {0, enforcer.Access{Reason: enforcer.ReasonRevoked}, many, many + 1},
		"cut off, or let pass though": {0, enforcer.Access{Admitted: true, Reason: enforcer.ReasonExpired}, many, many + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDesk(t, filepath.Join(t.TempDir(), "access.log"), tt.sample)
			for range many {
				d.Write(&tt.access)
			}
			d.close()
			if n := strings.Count(read(t, d.path), "\n"); n < tt.least || n >= tt.below {
				t.Errorf("%d of %d lines, want %d and more, below %d", n, many, tt.least, tt.below)
			}
		})
	}
}

// Nobody has to end the log for a line to be seen.
func TestWrite_AtMostASecondLate(t *testing.T) {
	t.Parallel()
	d := openDesk(t, filepath.Join(t.TempDir(), "access.log"), 1)
	defer d.close()
	d.Write(admitted("1"))
	eventually(t, "the line in the file", func() bool { return strings.Contains(read(t, d.path), `"request_id":"1"`) })
}

// A file that logrotate moved away is followed without a signal, and nothing is
// lost.
func TestWrite_FollowsRotation(t *testing.T) {
	t.Parallel()
	d := openDesk(t, filepath.Join(t.TempDir(), "access.log"), 1)
	d.Write(admitted("before"))
	eventually(t, "the first line", func() bool { return read(t, d.path) != "" })
	if err := os.Rename(d.path, d.path+".1"); err != nil {
		t.Fatal(err)
	}
	d.Write(admitted("meanwhile"))
	eventually(t, "a new file", func() bool { _, err := os.Stat(d.path); return err == nil })
	d.Write(admitted("after"))
	d.close()
	if got := read(t, d.path); !strings.Contains(got, "after") || strings.Contains(got, "before") {
		t.Errorf("the new file holds %q", got)
	}
	both := read(t, d.path+".1") + read(t, d.path)
	for _, id := range []string{"before", "meanwhile", "after"} {
		if n := strings.Count(both, id); n != 1 {
			t.Errorf("%s is in the files %d times", id, n)
		}
	}
	if info, err := os.Stat(d.path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the new file: %v, %v; others may read it", info.Mode(), err)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDesk(t, filepath.Join(dir, "access.log"), 1)
	d.Write(admitted("old"))
	next := filepath.Join(dir, "next.log")
	if err := d.Reopen(next, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other file", func() bool { return strings.Contains(read(t, d.path), "old") })
	d.Write(admitted("sampled out"))
	d.Write(&enforcer.Access{RequestID: "new", Reason: enforcer.ReasonRevoked})
	if err := d.Reopen(filepath.Join(dir, "none", "access.log"), 1); !fault.Is(err, fault.Unprocessable) || fault.Hint(err) == "" {
		t.Errorf("a file that cannot be made: %v", err)
	}
	d.Write(admitted("sampled out"))
	d.close()
	if got := read(t, next); !strings.Contains(got, `"new"`) || strings.Contains(got, "sampled out") || strings.Contains(got, "old") {
		t.Errorf("the next file holds %q", got)
	}
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a folder": dir, "no folder": filepath.Join(dir, "none", "access.log"), "a pipe that nobody reads": pipe,
	} {
		_, err := accesslog.Open(accesslog.Options{Path: path})
		if !fault.Is(err, fault.Unprocessable) || fault.Hint(err) == "" || fault.Field(err) != "enforcer.access_log" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// blocked is an access log on a pipe whose reader does not read.
func blocked(t *testing.T) (*desk, *os.File) {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	return openDesk(t, pipe, 1), reader
}

// A disk that takes nothing keeps no request waiting, and memory is bounded.
func TestWrite_NeverBlocks(t *testing.T) {
	t.Parallel()
	d, _ := blocked(t)
	a := admitted(strings.Repeat("x", 1000))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 12_000 { // three times what may wait
			d.Write(a)
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("requests wait for the disk")
	}
	if n := d.dropped.Load(); n < 3000 || n > 9000 {
		t.Errorf("%d lines were counted as dropped, want those above 4 MiB", n)
	}
	if err := d.Close(); err == nil {
		t.Error("the last lines were said to be written")
	}
}

// /dev/full is a disk without room: every write fails.
func TestWrite_DiskFull(t *testing.T) {
	t.Parallel()
	d := openDesk(t, "/dev/full", 1)
	for i := range 3 {
		d.Write(admitted("lost"))
		eventually(t, "the loss counted", func() bool { return d.dropped.Load() == int64(i+1) })
	}
	if !d.failing.Load() {
		t.Error("it is not said to fail")
	}
	next := filepath.Join(t.TempDir(), "access.log")
	if err := d.Reopen(next, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "lines in the next file", func() bool {
		d.Write(admitted("kept"))
		_, err := os.Stat(next)
		return err == nil && strings.Contains(read(t, next), "kept")
	})
	d.close()
	if d.failing.Load() {
		t.Error("it is still said to fail")
	}
	if got := strings.Count(d.log.String(), "lines are lost"); got != 1 {
		t.Errorf("the alarm was given %d times, want once:\n%s", got, d.log.String())
	}
	if !strings.Contains(d.log.String(), "can be written again") {
		t.Error("the end of the alarm is missing")
	}
}

// Lines of concurrent requests never run into each other.
func TestWrite_Concurrently(t *testing.T) {
	t.Parallel()
	d := openDesk(t, filepath.Join(t.TempDir(), "access.log"), 1)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 500 {
				d.Write(admitted(fmt.Sprintf("%d-%d", g, i)))
			}
		})
	}
	group.Wait()
	d.close()
	seen := map[string]bool{}
	for line := range strings.Lines(read(t, d.path)) {
		var v struct {
			ID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seen[v.ID] = true
	}
	if len(seen) != 4000 || d.dropped.Load() != 0 {
		t.Errorf("%d lines, %d dropped, want 4000 and none", len(seen), d.dropped.Load())
	}
}
