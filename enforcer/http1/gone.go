package http1

import (
	"net"

	"golang.org/x/sys/unix"
)

// left reports whether the client has closed its end, or the connection is
// broken, whatever lies there unread. net/http notices it by reading on.
func (c *conn) left() (gone bool) {
	if c.socket == nil {
		return false
	}
	err := c.socket.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: closedByPeer}} //nolint:gosec // file descriptors are small
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0 && fds[0].Revents&(closedByPeer|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}

// deepest returns the connection below all others that say what they are above.
func deepest(nc net.Conn) net.Conn {
	for {
		upper, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = upper.NetConn()
	}
}
