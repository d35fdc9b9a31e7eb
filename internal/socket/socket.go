// Package socket asks the kernel about a connection, without reading from it and
// without waiting.
package socket

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Probe is for one connection. It belongs to one goroutine at a time. The zero
// value knows nothing of its connection, and always fears the worst.
type Probe struct {
	raw  syscall.RawConn
	poll func(fd uintptr)
	fds  [1]unix.PollFd
	err  error
}

// Init makes it the probe of the connection at the bottom of nc, below whatever
// has a NetConn method. It is not to be copied afterwards.
func (p *Probe) Init(nc net.Conn) {
	for {
		upper, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = upper.NetConn()
	}
	if sc, ok := nc.(syscall.Conn); ok {
		p.raw, _ = sc.SyscallConn()
	}
	p.poll = func(fd uintptr) {
		p.fds[0].Fd, p.fds[0].Revents = int32(fd), 0   //nolint:gosec // file descriptors are small
		for p.err = unix.EINTR; p.err == unix.EINTR; { //nolint:errorlint // as x/sys returns it
			_, p.err = unix.Poll(p.fds[:], 0)
		}
	}
}

// Quiet reports whether the peer has neither sent anything that is still unread
// nor closed its end, and the connection is whole.
func (p *Probe) Quiet() bool {
	events, ok := p.ask(unix.POLLIN | closedByPeer)
	return ok && events == 0
}

// Left reports whether the peer has closed its end, or the connection is broken,
// whatever lies there unread.
func (p *Probe) Left() bool {
	events, ok := p.ask(closedByPeer)
	return !ok || events != 0
}

// Broken reports whether nothing can be read or written any more: the peer has
// reset the connection, or both ends are closed.
func (p *Probe) Broken() bool {
	events, ok := p.ask(0) // POLLERR and POLLHUP are never asked for
	return !ok || events != 0
}

func (p *Probe) ask(events int16) (got int16, ok bool) {
	if p.raw == nil {
		return 0, false
	}
	p.fds[0].Events = events
	if p.raw.Control(p.poll) != nil || p.err != nil {
		return 0, false
	}
	return p.fds[0].Revents, true
}
