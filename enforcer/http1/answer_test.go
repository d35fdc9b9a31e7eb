package http1_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer/http1"
)

// stage has two servers play the same scripts.
type stage struct {
	scripts, records sync.Map // by id
	last             atomic.Int64
	ours, standard   string // addresses
}

func newStage(t testing.TB) *stage {
	s := new(stage)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, scripted := strings.CutPrefix(r.URL.Path, "/script/")
		if !scripted {
			_, _ = io.WriteString(w, "next")
			return
		}
		play, _ := s.scripts.Load(id)
		var saw record
		defer func() { s.records.Store(id, saw) }()
		play.(script).play(w, r, &saw) //nolint:forcetypeassert // as stored
	})
	svc := newService(t, handler, func(o *http1.Options) { o.Fallback = nil })
	s.ours = svc.l.Addr().String()
	l := tls.NewListener(listen(t), serverConfig())
	standard := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	t.Cleanup(func() { _ = standard.Close() })
	go func() { _ = standard.Serve(l) }()
	s.standard = l.Addr().String()
	return s
}

// perform returns what comes of the script at a server.
func (s *stage) perform(t testing.TB, addr, method string, play script) outcome {
	id := strconv.FormatInt(s.last.Add(1), 10)
	s.scripts.Store(id, play)
	defer s.scripts.Delete(id)
	c := dial(t, addr)
	defer c.NetConn().Close()
	o := observe(c, method, id)
	eventually(t, "the handler has returned", func() bool { _, over := s.records.Load(id); return over })
	saw, _ := s.records.LoadAndDelete(id)
	o.saw = saw.(record) //nolint:forcetypeassert // as stored
	return o
}

// normalise removes the differences that are meant.
func normalise(play script, o *outcome) {
	for _, name := range []string{"Date", "Connection", "Content-Length"} {
		// Options of the connection are ours: the handler's are not written. The
		// length is compared with the framing.
		o.header.Del(name)
	}
	for i := range o.infos {
		o.infos[i] = strings.NewReplacer("Connection:[close] ", "", "Connection:[close]", "",
			"Connection:[keep-alive] ", "", "Connection:[keep-alive]", "").Replace(o.infos[i])
		o.infos[i] = strings.ReplaceAll(o.infos[i], " ]", "]")
	}
	if !play.head().has(setField, named("Content-Type")) {
		o.header.Del("Content-Type") // none is guessed here
	}
	if !play.measured() {
		o.framing = "" // short answers are given no length here
	}
}

// compare fails the test for a difference that is not meant.
func compare(t *testing.T, s *stage, method string, play script) {
	t.Helper()
	got, want := s.perform(t, s.ours, method, play), s.perform(t, s.standard, method, play)
	normalise(play, &got)
	normalise(play, &want)
	if got.broken && (want.broken || play.aborts()) || want.broken && play.aborts() && play.measured() {
		// How much came before it broke is a matter of buffers: by then, all of an
		// announced length may have come.
		infos, saw := got.infos, got.saw
		got = want
		got.infos, got.saw = infos, saw
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %s\n is %s\nwant %s", method, play, got, want)
	}
}

// meant reports whether net/http's answer is worse, so that ours is another one.
func meant(play script, method string) bool {
	switch {
	case play.has(setField, named("Transfer-Encoding")):
		// net/http obeys it: by "identity" the answer ends with the connection, by
		// "chunked" the length is dropped. Here it is ignored.
		return true
	case method == http.MethodHead && play.has(setLength, func(arg byte) bool { _, err := strconv.ParseUint(pick(lengths, arg), 10, 63); return err != nil }):
		return true // net/http writes a length that is none
	}
	return false
}

// plays are answers of every kind.
var plays = []script{
	{},
	{write, 1},
	{write, 9},
	{write, 0},
	{status, 0},
	{status, 1, write, 1},
	{status, 3, setField, 0, write, 1},
	{status, 6},
	{status, 7, write, 3},
	{status, 8, write, 3},
	{status, 9},
	{status, 10, write, 3},
	{status, 4, status, 0, write, 3},
	{setLength, 1},
	{setLength, 1, write, 3},
	{setLength, 1, write, 2},
	{setLength, 1, write, 5},
	{setLength, 1, write, 3, write, 1},
	{setLength, 1, write, 5, write, 3},
	{setLength, 2, write, 4, write, 3},
	{setLength, 4, write, 8},
	{setLength, 4, write, 8, abort, 0},
	{setLength, 1, write, 3, flush, 0, abort, 0},
	{setLength, 5, write, 3},
	{setLength, 6, write, 3},
	{setLength, 7, write, 3},
	{setLength, 7},
	{setLength, 0, write, 3},
	{setLength, 1, status, 1},
	{setLength, 1, status, 3, setField, 7},
	{setLength, 1, setField, 7, status, 3},
	{setField, 1, setField, 3, setField, 4, setField, 5, setField, 10, setField, 10, write, 1},
	{setField, 2, setField, 6, setField, 13, status, 0},
	{setField, 8, write, 1},
	{setField, 9, write, 1},
	{setField, 8, setLength, 1, status, 0, write, 3},
	{announce, 0, write, 1, trailer, 1},
	{announce, 0, trailer, 1},
	{announce, 1, write, 1, flush, 0},
	{announce, 2, setField, 0, write, 1, trailer, 1},
	{announce, 2, setField, 0, setLength, 1, write, 3, trailer, 1},
	{announce, 3, setLength, 1, write, 3},
	{announce, 3, write, 3},
	{announce, 4, write, 3, setField, 11, trailer, 0},
	{announce, 5, setField, 10, write, 3},
	{announce, 6, write, 3},
	{unannounce, 0, write, 3},
	{write, 3, unannounce, 0},
	{write, 3, unannounce, 0, abort, 0},
	{inform, 0, inform, 1, setField, 0, inform, 2, write, 3},
	{setLength, 1, inform, 2, write, 3},
	{announce, 0, setField, 8, inform, 2, write, 3, trailer, 3},
	{status, 0, inform, 2, write, 3},
	{inform, 2, abort, 0},
	{abort, 0},
	{write, 1, abort, 0},
	{write, 9, abort, 0},
	{write, 1, flush, 0, abort, 0},
	{write, 1, flush, 0, write, 9, flush, 0, write, 1},
	{flush, 0},
	{readBody, 3, write, 1},
	{readBody, 1, write, 1},
	{readBody, 3, readBody, 3},
	{write, 1, readBody, 3},
	{status, 0, setField, 0, setLength, 1, write, 1},
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, play := range plays {
		for _, method := range methods {
			if !meant(play, method) {
				compare(t, s, method, play)
			}
		}
	}
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}

// FuzzAnswer: a client cannot tell which server it has.
func FuzzAnswer(f *testing.F) {
	for i, play := range plays {
		f.Add(byte(i), []byte(play))
	}
	s := newStage(f)
	f.Fuzz(func(t *testing.T, which byte, raw []byte) {
		method, play := pick(methods, which), script(raw[:min(len(raw), 24)])
		if !meant(play, method) {
			compare(t, s, method, play)
		}
	})
}

// TestFraming: what is about the framing is ours, whatever the handler says.
func TestFraming(t *testing.T) {
	t.Parallel()
	headers := []http.Header{
		{"Content-Length": {"5"}, "Transfer-Encoding": {"chunked"}},
		{"Content-Length": {"5", "6"}},
		{"Content-Length": {"+5"}},
		{"Content-Length": {"005"}, "Trailer": {"Content-Length"}},
		{"Content-Length": {"5"}, "Connection": {"keep-alive, X-A"}, "Trailer": {"Connection"}},
		{"Transfer-Encoding": {"identity"}},
		{"Transfer-Encoding": {"gzip, chunked"}},
		{"Content-Length": {"+"}},
	}
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if i, err := strconv.Atoi(r.URL.Path[1:]); err == nil {
			for name, values := range headers[i] {
				w.Header()[name] = values
			}
		}
		_, _ = io.WriteString(w, "hello")
	})
	c := s.dial(t)
	for i, h := range headers {
		c.send(get("/" + strconv.Itoa(i)))
		res := c.expect("hello")
		if length := int64(5); len(h["Content-Length"]) > 0 && h["Content-Length"][0] != "+" && (res.ContentLength != length || len(res.TransferEncoding) > 0) {
			t.Errorf("%v: length %d, %v", h, res.ContentLength, res.TransferEncoding)
		}
		if len(res.Header["Content-Length"]) > 1 || len(res.Header["Connection"]) > 0 || len(res.Trailer["Transfer-Encoding"]) > 0 {
			t.Errorf("%v: %v, trailer %v", h, res.Header, res.Trailer)
		}
	}
}

// TestForbiddenTrailer: what is about the framing is no trailer either.
func TestForbiddenTrailer(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Trailer"] = []string{"Transfer-Encoding, X-A"}
		w.Header()["Connection"] = []string{"close"}
		_, _ = io.WriteString(w, "hello")
		w.Header()["Transfer-Encoding"] = []string{"gzip"}
		w.Header()["X-A"] = []string{"b\r\nc", "d"}
	})
	c := s.dial(t)
	c.send(get("/"))
	raw, err := io.ReadAll(c)
	if _, body, _ := strings.Cut(string(raw), "\r\n\r\n"); err != nil || body != "5\r\nhello\r\n0\r\nX-A: b  c\r\nX-A: d\r\n\r\n" {
		t.Errorf("%q: %v", raw, err)
	}
}

// TestSwitch: after an answer that switches protocols nothing is a request.
func TestSwitch(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusSwitchingProtocols)
		if _, err := io.WriteString(w, "x"); err == nil {
			t.Error("there is a body")
		}
	})
	c := s.dial(t)
	c.send(get("/") + get("/"))
	if res, _ := c.receive(); res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d", res.StatusCode)
	}
	c.ended()
}

// TestWriter: what cannot be done over such a connection is refused.
func TestWriter(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("the connection was hijacked")
		}
		w.Header()["Date"] = []string{"today"}
		w.Header()["Connection"] = []string{"close", "X-A"}
	}, func(o *http1.Options) { o.Now = func() time.Time { return time.Unix(0, 0) } })
	c := s.dial(t)
	c.send(get("/"))
	if res := c.expect(""); res.Header.Get("Date") != "today" || !res.Close || res.ContentLength != 0 {
		t.Errorf("%v, close: %v", res.Header, res.Close)
	}
	c.ended()
}
