package enforcer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/certvigil/certvigil/enforcer/origin"
)

// halfOpen is how long one direction of a WebSocket may outlive the other.
const halfOpen = time.Minute

// tunnel hands the connection over to a WebSocket. It ends with either end, or
// at once with the request's context.
func (e *Enforcer) tunnel(w http.ResponseWriter, r *http.Request, x *exchange, res *origin.Response) {
	h := w.Header()
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		e.log.Error("taking over the connection failed", "application", x.app.name, "error", err)
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	// The client's socket itself: a client that reads nothing delays no end.
	defer context.AfterFunc(r.Context(), func() { _ = x.flight.client.Close() })()
	_, _ = io.WriteString(buffered, "HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(buffered)
	_, _ = io.WriteString(buffered, "\r\n")
	if buffered.Flush() != nil {
		return // the client has left
	}
	t := &x.flight.tally
	ends := make(chan error, 2)
	go func() { ends <- direct(res.Conn(), buffered.Reader, &t.received) }()
	go func() { ends <- direct(conn, res, &t.sent) }()
	both := func() { _ = x.flight.client.Close(); _ = res.Conn().Close() }
	if err := <-ends; err == nil {
		defer time.AfterFunc(halfOpen, both).Stop()
	} else {
		both()
	}
	if err := <-ends; err != nil {
		e.log.Debug("a WebSocket broke off", "application", x.app.name, "error", err)
	}
}

// direct copies one direction of a tunnel and passes its end on as an end.
func direct(to net.Conn, from io.Reader, count *int64) error {
	buf, _ := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf[:])
	*count += n
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		return half.CloseWrite()
	}
	return errors.Join(err, to.Close())
}
