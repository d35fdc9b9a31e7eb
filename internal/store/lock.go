package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/certvigil/certvigil/internal/fault"
)

// Lock makes the caller the one daemon of a store, until it calls unlock or
// its process ends, however it ends. While another process is, it returns
// fault.Conflict. Commands that only read or write the store take no lock.
func Lock(dsn string) (unlock func() error, err error) {
	path, err := databasePath(dsn)
	if err != nil {
		return nil, err
	}
	path = realPath(path) + ".lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unprocessable, "cannot_lock", "opening the lock file: %w", err).
			WithField("storage.dsn").WithHint("its folder must exist and be writable for you")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, lockedFault(path, f)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the lock file: %w", err), f.Close())
	}
	// The file stays: removing it would let two daemons lock two files of one name.
	return func() error { return errors.Join(f.Truncate(0), f.Close()) }, nil
}

// realPath follows symbolic links, so that two names of one database are one
// lock. The database itself need not exist yet.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func lockedFault(path string, f *os.File) error {
	holder := "another process"
	digits := make([]byte, 32)
	n, _ := f.ReadAt(digits, 0) // ends with io.EOF
	if pid, err := strconv.Atoi(strings.TrimSpace(string(digits[:n]))); err == nil {
		holder = fmt.Sprintf("process %d", pid)
	}
	return fault.New(fault.Conflict, "locked", "%s is serving this store already (it holds %s)", holder, path).
		WithHint("stop it first, or give this one a store of its own")
}
