package origin

import (
	"bufio"
	"bytes"
	"net/http"
)

// Seams for the tests of pure parts.

// Head returns what is written of a request.
func Head(r *Request) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	r.writeHead(w)
	err := w.Flush()
	return buf.String(), err
}

// ParseAnswer reads a response head as an exchange does.
func ParseAnswer(raw []byte) (status int, length int64, chunked bool, fields http.Header, err error) {
	budget := maxHead
	section, err := readSection(bufio.NewReaderSize(bytes.NewReader(raw), bufferSize), &budget)
	if err != nil {
		return 0, 0, false, nil, err
	}
	fields = http.Header{}
	h, err := parseHead(section, fields)
	return h.status, h.length, h.chunked, fields, err
}

// Idle returns the number of idle connections.
func (p *Pool) Idle() (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, h := range p.hosts {
		h.mu.Lock()
		n += len(h.idle)
		h.mu.Unlock()
	}
	return n
}

// Users returns the number of exchanges under way.
func (p *Pool) Users() (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, h := range p.hosts {
		h.mu.Lock()
		n += h.users
		h.mu.Unlock()
	}
	return n
}

// Hosts returns the number of origins that are known.
func (p *Pool) Hosts() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.hosts)
}

// Spares returns the number of HTTP/2 connections that nobody has taken.
func Spares(p *Pool) (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, h := range p.hosts {
		h.mu.Lock()
		n += len(h.spare)
		h.mu.Unlock()
	}
	return n
}
