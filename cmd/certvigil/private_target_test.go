package main

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/certvigil/certvigil/internal/alert"
)

// TestAlerting_PrivateTarget holds that what the API made is judged by the
// address that its name has when it is dialled, on every way that leads there:
// the alert, the probe that follows, a retry by hand and `channel test`. Only
// leave from the file lets it through.
func TestAlerting_PrivateTarget(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	hook, mail := started(t, startHTTP), started(t, startMail)
	_, port, err := net.SplitHostPort(hook.addr)
	if err != nil {
		t.Fatal(err)
	}
	const refusal = "in a private or reserved network"
	told := mailChannel("mail", mail.addr) + "[notifier]\nfallback = [\"mail\"]\n"
	s.configure(told, "allow_private_targets = true\n", "[[alert]]\nname = \"deaf\"\nchannels = []\n")
	p := s.start()
	api := newAPIClient(s, p)
	destination := api.destination("ops", "localhost:"+port, "s3cret")
	hook.next(t) // the test message, which was allowed then
	api.policy("ends soon", map[string]any{"webhooks": ids(destination)})
	p.terminate()

	s.configure(told, "[[alert]]\nname = \"deaf\"\nchannels = []\n")
	p = s.start()
	api.base = "http://" + p.admin + "/client/v4/accounts/x/"
	api.upload("First CA", 13)
	p.log.await(t, "channel failing", "channel=ops", refusal)
	if got := mail.next(t); !strings.Contains(got.body, `"ops"`) {
		t.Errorf("the failure was announced as:\n%s", got.body)
	}
	attempts := func() int {
		return strings.Count(s.command("delivery", "show", jsonOf[[]alert.Delivery](t, s.command("delivery", "list", "--channel", "ops", "--json"))[0].ID), refusal)
	}
	before := attempts()
	s.command("delivery", "retry", "--channel", "ops")
	eventually(t, "the retry is refused too", func() bool { return attempts() > before })
	if out, err := s.try("channel", "test", "ops"); err == nil || !strings.Contains(out, refusal) {
		t.Errorf("channel test: %v\n%s", err, out)
	}
	if len(hook.posts) > 0 {
		t.Errorf("it reached the private network: %+v", hook.next(t))
	}

	s.configure(told, "allow_private_targets = true\n", "[[alert]]\nname = \"deaf\"\nchannels = []\n")
	p.signal(syscall.SIGHUP)
	if got := hook.next(t); !strings.Contains(got.body, "First CA") {
		t.Errorf("with leave of the file: %s", got.body)
	}
	p.terminate()
}
