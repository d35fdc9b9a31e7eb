package app

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

func TestNextLook(t *testing.T) {
	t.Parallel()
	for _, validity := range []time.Duration{0, time.Minute, time.Hour, alert.Day, week, 30 * alert.Day, 400 * alert.Day} {
		l := inventory.CRL{ThisUpdate: dayZero, NextUpdate: dayZero.Add(validity)}
		for part := -10; part <= 300; part++ {
			now := dayZero.Add(validity * time.Duration(part) / 200)
			for _, chance := range []float64{0, 0.5, 0.999} {
				at := nextLook(l, now, chance)
				wait, left := at.Sub(now), l.NextUpdate.Sub(now)
				if wait < minLook || wait > maxLook {
					t.Fatalf("validity %s, at %s of it: the next look is in %s", validity, now.Sub(dayZero), wait)
				}
				if left > minLook && !at.Before(l.NextUpdate) {
					t.Fatalf("validity %s, at %s of it: the next look is after nextUpdate", validity, now.Sub(dayZero))
				}
				if early := at.Before(dayZero.Add(validity / 2)); early && wait > minLook && wait < maxLook-spreadDay {
					t.Fatalf("validity %s, at %s of it: the next look is in %s, too early", validity, now.Sub(dayZero), wait)
				}
			}
		}
	}
	l := inventory.CRL{ThisUpdate: dayZero, NextUpdate: dayZero.Add(16 * time.Hour)}
	if a, b := nextLook(l, dayZero, 0), nextLook(l, dayZero, 0.999); !a.Equal(dayZero.Add(8*time.Hour)) || b.Sub(a) < 3*time.Hour || b.After(dayZero.Add(16*time.Hour*7/10)) {
		t.Errorf("looks are from %s to %s, want them spread from the half to seven tenths", a, b)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	at, looks := time.Duration(0), 0
	for ; at < 24*time.Hour; looks++ {
		wait := retryAfter(at, 0.5)
		if wait < minLook || wait > maxRetry {
			t.Fatalf("after %s of failing: %s", at, wait)
		}
		at += wait
	}
	if looks < 24 || looks > 36 {
		t.Errorf("%d looks on the first day", looks)
	}
}

// A distributor serves what a test tells it to, as a CRL's URL does.
type distributor struct {
	mu      sync.Mutex
	body    []byte
	status  int
	etag    string
	matched int // conditional requests that were answered by 304
}

func (d *distributor) set(status int, body []byte, etag string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status, d.body, d.etag = status, body, etag
}

func (d *distributor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.etag != "" {
		w.Header().Set("ETag", d.etag)
		if r.Header.Get("If-None-Match") == d.etag {
			d.matched++
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(d.status)
	_, _ = w.Write(d.body)
}

// A mill is a daemon whose lists are refreshed as its clock is turned.
type mill struct {
	*house
	*refresher

	clock *testClock
	ca    *certtest.Certificate
	list  inventory.CRL
}

func newMill(t *testing.T, more string) *mill {
	t.Helper()
	m := &mill{clock: &testClock{at: time.Now().UTC().Truncate(time.Second)}}
	m.house = newHouse(t, func(h *house) string { h.now = m.clock.now; return h.guarding(closed, "30d") + more })
	m.App.refresher.mu.Lock() // the daemon's own, which looks whenever it likes, claims nothing
	t.Cleanup(m.App.refresher.mu.Unlock)
	m.refresher = m.newRefresher()
	m.ca, _ = m.admit()
	return m
}

// crl makes the CA's list of a number, which is valid for a week from now.
func (m *mill) crl(number int64, revoked ...*certtest.Certificate) []byte {
	now := m.clock.now()
	return m.ca.CRL(certtest.CRLNumber(number), certtest.Updates(now.Add(-time.Minute), now.Add(week)), certtest.Revoke(revoked...))
}

func (m *mill) add(source string) {
	m.list = m.addList(m.ca, m.crl(1), source)
}

// turn moves the clock on and refreshes what is due then.
func (m *mill) turn(d time.Duration) inventory.CRL {
	m.t.Helper()
	m.clock.advance(d)
	if err := m.look(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	m.refresher.wg.Wait()
	list, err := m.store.CRL(m.t.Context(), m.list.Item.ID)
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// due moves the clock to where the list is due.
func (m *mill) due(l inventory.CRL) inventory.CRL {
	m.t.Helper()
	return m.turn(max(l.RefreshAt.Sub(m.clock.now()), 0))
}

// told returns the recipients of announcements that the list fails.
func (m *mill) told() (channels []string) {
	m.t.Helper()
	deliveries, err := m.store.Deliveries(m.t.Context(), store.DeliveryFilter{})
	if err != nil {
		m.t.Fatal(err)
	}
	alerts, err := m.store.Alerts(m.t.Context(), 0)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, a := range alerts {
		if a.Event != alert.EventFailed || !strings.HasPrefix(a.Subject, "crl:") {
			continue
		}
		for _, d := range deliveries {
			if len(d.AlertIDs) == 1 && d.AlertIDs[0] == a.ID {
				channels = append(channels, d.Channel)
			}
		}
	}
	return channels
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	d := &distributor{}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	m := newMill(t, "")
	d.set(http.StatusOK, m.crl(2), `"two"`)
	m.add(server.URL + "/ca.crl?token=s3cret")

	got := m.turn(0)
	if got.Number.Int64() != 2 || got.CheckedAt == nil || !got.RefreshAt.After(m.clock.now()) {
		t.Fatalf("the first look brought number %s, next look at %v", got.Number, got.RefreshAt)
	}
	before := *got.RefreshAt
	if got = m.due(got); d.matched == 0 || !got.RefreshAt.After(before) || !got.CheckedAt.Equal(m.clock.now()) || got.Failure != "" {
		t.Fatalf("an unchanged list: %d conditional requests, next look at %v", d.matched, got.RefreshAt)
	}
	d.set(http.StatusOK, m.crl(3), `"three"`)
	if got = m.due(got); got.Number.Int64() != 3 {
		t.Fatalf("a new list: number %s", got.Number)
	}
	other := certtest.NewCA()
	for _, bad := range []struct {
		name   string
		status int
		body   []byte
		says   string
	}{
		{"a page", http.StatusOK, []byte("<html>login</html>"), ""},
		{"an error", http.StatusInternalServerError, m.crl(9), "500"},
		{"an older list", http.StatusOK, m.crl(1), "older"},
		{"another CA's list", http.StatusOK, other.CRL(), ""},
		{"nothing", http.StatusOK, nil, ""},
	} {
		d.set(bad.status, bad.body, "")
		got = m.due(got)
		if got.Number.Int64() != 3 || got.Failure == "" || !strings.Contains(got.Failure, bad.says) || got.FailingSince == nil {
			t.Errorf("%s: number %s is stored, failure %q", bad.name, got.Number, got.Failure)
		}
		if wait := got.RefreshAt.Sub(m.clock.now()); wait < minLook || wait > maxRetry {
			t.Errorf("%s: the next look is in %s", bad.name, wait)
		}
		if strings.Contains(m.log.String(), "s3cret") {
			t.Fatal("the log tells a secret of the URL")
		}
	}
	d.set(http.StatusOK, m.crl(4), "")
	if got = m.due(got); got.Number.Int64() != 4 || got.Failure != "" || got.FailingSince != nil {
		t.Errorf("after it was mended: number %s, failure %q", got.Number, got.Failure)
	}
	if !strings.Contains(m.log.String(), "can be refreshed again") || !strings.Contains(m.metric(), "certvigil_crl_refresh_failures_total{") {
		t.Error("log or metrics do not tell of it")
	}
}

// A stored CA's list at another CA's address must not bind that CA to it.
func TestRefresh_OtherStoredCA(t *testing.T) {
	t.Parallel()
	d := &distributor{}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	m := newMill(t, "")
	m.add(server.URL)
	mine := m.ca
	m.ca, _ = m.admitAs("second")
	second := m.addList(m.ca, m.crl(1), "")
	d.set(http.StatusOK, m.crl(2), "")
	m.ca = mine
	if got := m.turn(0); got.Failure == "" || got.Number.Int64() != 1 {
		t.Errorf("number %s is stored, failure %q", got.Number, got.Failure)
	}
	if got, err := m.store.CRL(t.Context(), second.Item.ID); err != nil || got.Source != "" || got.Number.Int64() != 1 {
		t.Errorf("the other CA's list is number %s of %q, %v", got.Number, got.Source, err)
	}
}

// Whoever is told of the list's end is told once that it cannot be refreshed,
// and again when it fails anew. A hiccup is not told.
func TestRefresh_TellsOnce(t *testing.T) {
	t.Parallel()
	d := &distributor{}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	m := newMill(t, "[[channel]]\nname = \"other\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/y\"\n"+
		"[[alert]]\nname = \"again\"\nchannels = [\"hook\", \"other\"]\n[[alert]]\nname = \"clients\"\nkinds = [\"client\"]\nchannels = [\"other\"]\n")
	d.set(http.StatusOK, m.crl(2), "")
	m.add(server.URL)
	got := m.turn(0)
	fail := func(until time.Duration) {
		t.Helper()
		d.set(http.StatusBadGateway, nil, "")
		got = m.due(got)
		for began := m.clock.now(); m.clock.now().Sub(began) < until; {
			got = m.due(got)
		}
	}
	fail(2 * time.Minute)
	d.set(http.StatusOK, m.crl(3), "")
	if got = m.due(got); got.Failure != "" || len(m.told()) != 0 {
		t.Fatalf("after a hiccup: failure %q, told %v", got.Failure, m.told())
	}
	fail(6 * time.Hour)
	if told := m.told(); len(told) != 2 || told[0] == told[1] {
		t.Fatalf("told %v, want each of the two channels once", told)
	}
	restarted := m.newRefresher()
	if err := restarted.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	restarted.wg.Wait()
	if got = m.turn(time.Hour); len(m.told()) != 2 {
		t.Errorf("told %v after a restart", m.told())
	}
	d.set(http.StatusOK, m.crl(4), "")
	got = m.due(got)
	fail(time.Hour)
	if told := m.told(); len(told) != 4 {
		t.Errorf("told %v, want the second failure told as well", told)
	}
}

// Two failures are enough where the list is about to end.
func TestLasting(t *testing.T) {
	t.Parallel()
	since := dayZero
	for name, tt := range map[string]struct {
		since     *time.Time
		now, left time.Duration
		want      bool
	}{
		"the first failure":            {nil, 0, week, false},
		"a minute later":               {&since, time.Minute, week, false},
		"ten minutes later":            {&since, 10 * time.Minute, week, true},
		"a minute later, near its end": {&since, time.Minute, 59 * time.Minute, true},
		"the first, past its end":      {nil, 0, -time.Hour, false},
	} {
		now := dayZero.Add(tt.now)
		if got := lasting(inventory.CRL{FailingSince: tt.since, NextUpdate: now.Add(tt.left)}, now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// configure changes a copy of the configuration in force.
func (m *mill) configure(change func(*config.Config)) {
	m.house.App.mu.Lock()
	defer m.house.App.mu.Unlock()
	next := *m.cfg
	next.Alerts = slices.Clone(next.Alerts)
	change(&next)
	m.cfg = &next
}

func TestRefresh_Fallback(t *testing.T) {
	t.Parallel()
	m := newMill(t, "")
	m.configure(func(c *config.Config) { c.Alerts[0].Kinds = []string{"client"} })
	l := inventory.CRL{Item: alert.Item{ID: "i", Kind: alert.KindCRL}}
	if n := m.refreshNotices(l, "no", dayZero, dayZero); len(n) != 0 || !strings.Contains(m.log.String(), "announced to nobody") {
		t.Errorf("%d notices without rule and fallback:\n%s", len(n), m.log)
	}
	m.configure(func(c *config.Config) { c.Notifier.Fallback = []string{"hook"} })
	if n := m.refreshNotices(l, "no", dayZero, dayZero); len(n) != 1 || len(n[0].Deliveries) != 1 || n[0].Deliveries[0].Channel != "hook" {
		t.Errorf("notices %+v, want one to the fallback", n)
	}
}

// A file is looked at when it changes, and nobody writes to it any longer.
func TestRefresh_File(t *testing.T) {
	t.Parallel()
	m := newMill(t, "")
	path := filepath.Join(m.dir, "ca.crl")
	m.write("ca.crl", string(m.crl(1)))
	m.add(path)
	got := m.turn(0)
	if got.RefreshAt.Before(m.clock.now().Add(time.Hour)) {
		t.Fatalf("the next look is at %s", got.RefreshAt)
	}
	m.write("new.crl", string(m.crl(2)))
	if err := os.Rename(filepath.Join(m.dir, "new.crl"), path); err != nil {
		t.Fatal(err)
	}
	m.turn(0)
	if got = m.turn(0); got.Number.Int64() != 2 {
		t.Errorf("a file that changed: number %s", got.Number)
	}
	whole := m.crl(3)
	m.write("ca.crl", string(whole[:len(whole)/2]))
	if got = m.turn(0); got.Failure != "" {
		t.Errorf("a file that is being written was read: %s", got.Failure)
	}
	m.write("ca.crl", string(whole))
	m.turn(0)
	if got = m.turn(0); got.Number.Int64() != 3 || got.Failure != "" {
		t.Errorf("a file that is complete: number %s, failure %q", got.Number, got.Failure)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	m.turn(0)
	if got = m.turn(0); got.Failure == "" || got.Number.Int64() != 3 {
		t.Errorf("a file that is gone: failure %q", got.Failure)
	}
}

// The daemon does it by itself, within seconds.
func TestRefresh_Daemon(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(h *house) string { return h.guarding(closed, "30d") })
	ca, client := h.admit()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(ca.CRLPEM(certtest.CRLNumber(2), certtest.Revoke(client)))
	}))
	t.Cleanup(server.Close)
	eventually(t, "admitted", func() bool { answer, _ := h.ask(client, "/"); return answer.StatusCode == 200 })
	h.addList(ca, ca.CRL(certtest.CRLNumber(1)), server.URL)
	eventually(t, "denied by the list of the URL", func() bool { answer, _ := h.ask(client, "/"); return answer.StatusCode == http.StatusForbidden })
}

// TestRefresh_manyAtOnce: what is held of lists on their way is bounded, and each
// is fetched all the same.
func TestRefresh_manyAtOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now, most, all := 0, 0, 0
	full, release := make(chan struct{}), make(chan struct{})
	isFull := sync.OnceFunc(func() { close(full) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		now, all = now+1, all+1
		if most = max(most, now); now == maxRefreshes {
			isFull()
		}
		mu.Unlock()
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	m := newMill(t, "")
	const lists = maxRefreshes + 3
	for i := range lists {
		ca := certtest.NewCA(certtest.CommonName(string(rune('a' + i))))
		m.addList(ca, ca.CRL(certtest.CRLNumber(1)), server.URL)
	}
	if err := m.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-full
	close(release)
	m.refresher.wg.Wait()
	if most != maxRefreshes || all != lists {
		t.Errorf("%d at once, %d in all; want %d and %d", most, all, maxRefreshes, lists)
	}
}
