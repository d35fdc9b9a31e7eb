package http1

import "golang.org/x/sys/unix"

const closedByPeer = unix.POLLRDHUP
