package notifier_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/notifier/email"
	"github.com/certvigil/certvigil/notifier/webhook"
)

// A mail server that accepts TCP and never answers holds up nothing but mail:
// all 100 deliveries of a real webhook arrive meanwhile, over real sockets.
func TestNotifier_silentServerDelaysNoOther(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the backlog accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	var mu sync.Mutex
	ids := map[string]bool{}
	all := make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if ids[r.Header.Get("Webhook-Id")] = true; len(ids) == 100 {
			close(all)
		}
	}))
	t.Cleanup(hook.Close)

	mailer, err := email.New(email.Options{Server: silent.Addr().String(), From: "certvigil@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	poster, err := webhook.New(webhook.Options{URL: hook.URL, Format: "standard", Secret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	outbox := &memoryOutbox{}
	for i := range 100 {
		now := time.Now()
		outbox.Add(
			alert.NewDelivery("mail", "oncall@example.com", "default", []string{fmt.Sprintf("mail-%d", i)}, now),
			alert.NewDelivery("hook", "hook", "default", []string{fmt.Sprintf("hook-%d", i)}, now),
		)
	}
	n, err := notifier.New(notifier.Options{
		Outbox: outbox, Grace: 10 * time.Millisecond,
		Setup: notifier.Setup{Channels: []notifier.Config{{Name: "mail", Channel: mailer}, {Name: "hook", Channel: poster}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = n.Run(ctx)
	}()
	select {
	case <-all:
	case <-time.After(15 * time.Second):
		t.Errorf("%d of 100 deliveries arrived", outbox.Count("hook", alert.StateSent))
	}
	cancel()
	<-stopped
	if n := outbox.Count("mail", alert.StatePending); n != 100 {
		t.Errorf("%d of 100 mails are given back on stopping", n)
	}
}
