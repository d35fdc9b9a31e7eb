package accesslog

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"syscall"

	"github.com/certvigil/certvigil/internal/fault"
)

// open opens a file to append to. Without O_NONBLOCK a pipe that nobody reads
// would hold up the start for good; a regular file does not know it.
func open(path string) (*os.File, error) {
	if path == Stdout {
		return os.Stdout, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640) //nolint:gosec // G302, G304: those who ship logs are in the group; the path is the operator's
	if err != nil {
		return nil, fault.New(fault.Unprocessable, "access_log", "opening the access log: %w", err).
			WithField("enforcer.access_log").WithHint(`see that this user may write the file and its folder, or set access_log = "-" for the standard output or "" for none`)
	}
	return f, nil
}

func closeFile(f *os.File) {
	if f != os.Stdout {
		_ = f.Close() // nothing is buffered
	}
}

// A sink is the file that is open. It belongs to one goroutine.
type sink struct {
	path    string
	file    *os.File
	log     *slog.Logger
	adrift  error // why there is no new file for the one that was moved away
	failing bool
	torn    bool // the last line in the file has no end
}

func (s *sink) close() { closeFile(s.file) }

func (s *sink) replace(next opening) {
	closeFile(s.file)
	s.path, s.file, s.torn, s.adrift = next.path, next.file, false, nil
}

// follow goes on in a new file when the one that is open was moved away or
// removed. Until there is one, the old one takes the lines: whoever rotates may
// be about to read its end.
func (s *sink) follow() {
	if s.path == Stdout {
		return
	}
	mine, err := s.file.Stat()
	if err != nil {
		return
	}
	named, err := os.Stat(s.path)
	if err == nil && os.SameFile(mine, named) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	f, err := open(s.path)
	if err != nil {
		s.adrift = err
		return
	}
	s.replace(opening{s.path, f})
}

// write writes whole lines, and returns how many of them were lost, and
// whether writing fails.
func (s *sink) write(lines []byte) (lost int, failing bool) {
	text, begin := lines, 0
	if s.torn {
		text, begin = append([]byte{'\n'}, lines...), 1
	}
	n, err := s.file.Write(text)
	if n > 0 {
		s.torn = text[n-1] != '\n'
	}
	lost = bytes.Count(lines[max(n-begin, 0):], []byte{'\n'})
	if err == nil {
		err = s.adrift
	}
	s.settle(err)
	return lost, err != nil
}

// settle says once that the log cannot be written, and once that it can again.
func (s *sink) settle(err error) {
	switch {
	case err != nil && !s.failing:
		s.log.Error("the access log cannot be written; lines are lost", "file", s.path, "error", err)
	case err == nil && s.failing:
		s.log.Info("the access log can be written again", "file", s.path)
	}
	s.failing = err != nil
}
