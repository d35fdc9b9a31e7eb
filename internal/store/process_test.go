package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/store"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func pid() []byte { return strconv.AppendInt(nil, int64(os.Getpid()), 10) }

// addClient adds a client certificate that ends ten days after the start.
func addClient(t testing.TB, s *store.Store, name string) alert.Item {
	t.Helper()
	c := certtest.SelfSigned(certtest.CommonName(name), certtest.Validity(start.Add(-alert.Day), start.Add(10*alert.Day)))
	item, _, err := s.AddItem(t.Context(), inventory.NewItem{
		Kind: alert.KindClient, Certificate: c.Certificate, Source: alert.Source{Kind: alert.SourceUpload, Reference: name},
		Actor: inventory.Actor{Kind: inventory.ActorLocal, ID: "alice"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// queue makes n deliveries of a channel.
func queue(t testing.TB, s *store.Store, channel string, n int) {
	t.Helper()
	for range n {
		addClient(t, s, "client")
		if err := s.Scan(t.Context(), start, func(candidates []alert.Candidate) alert.Plan { return one(channel, candidates) }); err != nil {
			t.Fatal(err)
		}
	}
}

// one plans a digest for one channel.
func one(channel string, candidates []alert.Candidate) alert.Plan {
	plan := alert.Plan{Next: make(map[string]time.Time, len(candidates))}
	ids := make([]string, len(candidates))
	for i, c := range candidates {
		const threshold = 14 * alert.Day
		ids[i] = alert.ID(c.Item.ID, c.Item.Epoch, "default", threshold, alert.EventExpiring)
		plan.Alerts = append(plan.Alerts, alert.Alert{
			ID: ids[i], Subject: c.Item.ID, ItemID: c.Item.ID, Epoch: c.Item.Epoch, Rule: "default",
			Threshold: threshold, Event: alert.EventExpiring, CreatedAt: start,
		})
		plan.Told = append(plan.Told, alert.ToldMark{ItemID: c.Item.ID, Epoch: c.Item.Epoch, Channel: channel, Recipient: channel, Threshold: threshold})
		plan.Next[c.Item.ID] = time.Time{}
	}
	plan.Deliveries = []alert.Delivery{alert.NewDelivery(channel, channel, "default", ids, start)}
	return plan
}

const childStore = "CERTVIGIL_TEST_STORE"

// TestMain serves as the other process: it takes the lock, leases one
// delivery, says which, and waits to be killed.
func TestMain(m *testing.M) {
	if dsn := os.Getenv(childStore); dsn != "" {
		child(dsn)
	}
	os.Exit(m.Run())
}

func child(dsn string) {
	ctx := context.Background()
	if _, err := store.Lock(dsn); err != nil {
		panic(err)
	}
	s, err := store.Open(ctx, store.Options{DSN: dsn})
	if err != nil {
		panic(err)
	}
	jobs, err := s.Claim(ctx, "child", "mail", start, start.Add(time.Hour), 1)
	if err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(jobs[0].Delivery.ID); err != nil {
		panic(err)
	}
	select {}
}

func TestKill_InTheMiddleOfADelivery(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certvigil.db")
	s := openAt(t, store.Options{DSN: path})
	queue(t, s, "mail", 2)
	before, err := s.DataVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := killChild(t, path)
	if after, err := s.DataVersion(t.Context()); err != nil || after == before {
		t.Errorf("what the other process did went unnoticed: %d, %v", after, err)
	}

	unlock, err := store.Lock(path)
	if err != nil {
		t.Fatalf("the lock outlived its process: %v", err)
	}
	defer func() { _ = unlock() }()
	restarted := openAt(t, store.Options{DSN: path})
	if err := restarted.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	jobs, err := restarted.Claim(t.Context(), "daemon", "mail", start, start.Add(time.Minute), 5)
	if err != nil || len(jobs) != 2 || jobs[0].Delivery.ID != id && jobs[1].Delivery.ID != id {
		t.Errorf("after the restart: %+v, %v; want %s again", jobs, err, id)
	}
	for _, job := range jobs {
		if err := restarted.Settle(t.Context(), "daemon", job.Delivery.ID, alert.Outcome{State: alert.StateSent, At: start}); err != nil {
			t.Error(err)
		}
	}
	if problems, err := restarted.Check(t.Context()); err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// killChild starts the other process, tries the lock that it holds, and kills
// it when it has leased a delivery, whose id it returns.
func killChild(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lock(path); !fault.Is(err, fault.Conflict) {
		t.Errorf("the lock was given twice: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	var id string
	if err := json.Unmarshal(line, &id); err != nil {
		t.Fatal(err)
	}
	return id
}
