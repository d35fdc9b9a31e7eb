package email_test

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/notifiertest"
)

// A server that is too busy to take connections leaves the client waiting at
// the very first step.
func TestSend_hangsAtConnect(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for range 4 { // more than wait to be taken
		if conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond); err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
	}
	c := channel(t, email.Options{Server: addr, Timeouts: email.Timeouts{Connect: 200 * time.Millisecond}})
	err = c.Send(t.Context(), notifiertest.One())
	timeout, ok := errors.AsType[net.Error](err)
	if verdict(err) != "transient" || !strings.HasPrefix(err.Error(), "connecting to ") || !ok || !timeout.Timeout() {
		t.Errorf("%s: %v", verdict(err), err)
	}
}
