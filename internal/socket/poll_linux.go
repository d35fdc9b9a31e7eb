package socket

import "golang.org/x/sys/unix"

const closedByPeer = unix.POLLRDHUP
