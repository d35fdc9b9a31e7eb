// Package demo tells the story of the product in a terminal, for real: it
// makes a PKI, starts the daemon as a process of its own, and speaks with it
// only through its public interfaces (TLS, SMTP, HTTP and the command line).
// Nothing is printed that was not carried out; the first step that goes
// otherwise ends the demo with an error.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Options are what the demo needs.
type Options struct {
	Binary string           // the certvigil executable
	Out    io.Writer        // where the story is told
	Color  bool             // Out is a terminal that shows colours
	Exit   bool             // end after the story instead of waiting for ctx
	Now    func() time.Time // nil = time.Now
}

// A story is a demo that is being told.
type story struct {
	*terminal
	*world
	binary string
	daemon *daemon
}

// Run tells the story in a temporary folder, which it removes when ctx ends,
// or at once with Exit. It returns an error when a step did not happen as told.
func Run(ctx context.Context, o Options) (err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	dir, err := os.MkdirTemp("", "certvigil-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t := &terminal{out: o.Out, color: o.Color, total: len(steps)}
	t.title("Certvigil, from the first certificate to the renewed one")
	t.say("Everything below happens for real, on this machine alone, in %s", dir)
	w, err := newWorld(dir, o.Now())
	if err != nil {
		return err
	}
	defer w.close()
	s := &story{terminal: t, world: w, binary: o.Binary}
	defer func() {
		if s.daemon != nil {
			s.daemon.stop()
		}
	}()
	if err := s.tell(ctx); err != nil {
		return err
	}
	return s.linger(ctx, o.Exit)
}

// steps is the story.
var steps = []struct {
	title string
	tell  func(*story, context.Context) error
}{
	{"A CA is stored and associated with the application's hostname", (*story).storeCA},
	{"The daemon starts", (*story).serve},
	{"Without a certificate, nobody enters", (*story).refused},
	{"With a certificate of the CA, the application answers", (*story).admitted},
	{"A CA with 20 days left and a client certificate with 10 are stored", (*story).storeExpiring},
	{"The daemon has scanned them: the mail, as received", (*story).readMail},
	{"The Slack message, as it reads", (*story).readSlack},
	{"The webhook's JSON, as received", (*story).readWebhook},
	{"A second scan tells nobody anything twice", (*story).scanAgain},
	{"The partner's new CA is not known yet", (*story).notYetKnown},
	{"The partner renews its CA over HTTP", (*story).renew},
	{"The new CA's client is admitted by the running listener", (*story).live},
}

func (s *story) tell(ctx context.Context) error {
	for _, step := range steps {
		s.begin(step.title)
		if err := step.tell(s, ctx); err != nil {
			return fmt.Errorf("demo step %d, %q: %w", s.step, step.title, err)
		}
	}
	return nil
}

func (s *story) linger(ctx context.Context, exit bool) error {
	s.title("That was the whole story.")
	if exit {
		return nil
	}
	s.say("It all keeps running: repeat any command above. Its log: %s", s.daemon.log)
	s.say("Press Ctrl-C to end it and to remove the folder.")
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.daemon.done:
		s.daemon.done <- err
		return fmt.Errorf("the daemon ended by itself: %w; its log:\n%s", err, s.daemon.tail())
	}
}

// certvigil shows and runs one of our own commands, and returns its output.
func (s *story) certvigil(ctx context.Context, args ...string) (string, error) {
	args = append(args, "-c", s.path("config.toml"))
	s.command(append([]string{s.binary}, args...)...)
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running certvigil %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(out), nil
}

// get shows and makes a request to the application with the given client
// certificate, "" for none, and checks the status.
func (s *story) get(ctx context.Context, cert string, want int) (response, error) {
	return s.exchange(ctx, s.toApplication(cert), want)
}

func (s *story) toApplication(cert string) request {
	_, port, _ := net.SplitHostPort(s.gateway)
	r := request{URL: "https://" + hostname + ":" + port + "/", Dial: s.gateway, CACert: s.path(serverCA)}
	if cert != "" {
		r.Cert, r.Key = s.path(cert), s.path(keyFile(cert))
	}
	return r
}

func (s *story) exchange(ctx context.Context, r request, want int) (response, error) {
	s.command(r.curl()...)
	answer, err := r.do(ctx)
	if err != nil {
		return response{}, err
	}
	if answer.Status != want {
		return response{}, fmt.Errorf("the answer is %d, not %d:\n%s", answer.Status, want, answer.Body)
	}
	return answer, nil
}

func (s *story) storeCA(ctx context.Context) error {
	out, err := s.certvigil(ctx, "ca", "add", "--name", "Access Testing CA", "--hostname", hostname, s.path(accessCA))
	s.output(out)
	return err
}

func (s *story) serve(ctx context.Context) (err error) {
	s.command(s.binary, "serve", "-c", s.path("config.toml"))
	if s.daemon, err = s.startDaemon(ctx, s.binary); err != nil {
		return err
	}
	s.output(s.daemon.tail())
	return nil
}

func (s *story) refused(ctx context.Context) error {
	answer, err := s.get(ctx, "", http.StatusForbidden)
	if err != nil {
		return err
	}
	if answer.Header.Get("Set-Cookie") != "" {
		return errors.New("the refusal sets a cookie")
	}
	s.output(fmt.Sprintf("%s 403 Forbidden\nX-Request-Id: %s", answer.Proto, answer.Header.Get("X-Request-Id")))
	s.ok("403: the page says nothing of why; the log does, under that request id")
	return nil
}

func (s *story) admitted(ctx context.Context) error {
	answer, err := s.get(ctx, james, http.StatusOK)
	if err != nil {
		return err
	}
	cookie := answer.Header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "CF_Authorization=") {
		return fmt.Errorf("no CF_Authorization cookie, but %q", cookie)
	}
	s.output(fmt.Sprintf("%s 200 OK\nSet-Cookie: %s\n\n%s", answer.Proto, shorten(cookie, 90), answer.Body))
	s.ok("200 for James Royal, with the cookie; the origin sees who it is")
	return nil
}

func (s *story) storeExpiring(ctx context.Context) error {
	for _, args := range [][]string{
		{"ca", "add", "--name", "Partner CA", "--hostname", hostname, s.path(partnerCA)},
		{"cert", "add", s.path(shortClient)},
	} {
		out, err := s.certvigil(ctx, args...)
		if err != nil {
			return err
		}
		s.output(out)
	}
	return nil
}

// Two uploads are scanned as they come: what they say may arrive as one
// message or as two.
func (s *story) readMail(ctx context.Context) error {
	return s.untilTold(ctx, s.mail, "the mail", readableMail)
}

func (s *story) readSlack(ctx context.Context) error {
	return s.untilTold(ctx, s.slack, "the Slack message", readableSlack)
}

func (s *story) readWebhook(ctx context.Context) error {
	return s.untilTold(ctx, s.web, "the webhook", indented)
}

// untilTold shows messages until both certificates were told of.
func (s *story) untilTold(ctx context.Context, from *sink, what string, readable func([]byte) (string, error)) error {
	missing := map[string]bool{"Partner CA": true, "warehouse scanner 7": true}
	for len(missing) > 0 {
		m, err := from.await(ctx, what)
		if err != nil {
			return err
		}
		text, err := readable(m.Body)
		if err != nil {
			return err
		}
		if secret := m.Header.Get("Cf-Webhook-Auth"); secret != "" {
			text = "cf-webhook-auth: " + secret + "\nwebhook-id: " + m.Header.Get("Webhook-Id") + "\n\n" + text
		}
		s.output(text)
		told := len(missing)
		for name := range missing {
			if strings.Contains(text, name) {
				delete(missing, name)
			}
		}
		if len(missing) == told {
			return fmt.Errorf("%s tells of neither certificate", what)
		}
	}
	s.ok("told once, with what to do next")
	return nil
}

func (s *story) scanAgain(ctx context.Context) error {
	out, err := s.certvigil(ctx, "scan")
	if err != nil {
		return err
	}
	s.output(out)
	for _, from := range []*sink{s.mail, s.slack, s.web} {
		if len(from.messages) > 0 {
			return errors.New("a message arrived twice")
		}
	}
	s.ok("nothing is due: every recipient was told already")
	return nil
}

func (s *story) notYetKnown(ctx context.Context) error {
	if _, err := s.get(ctx, partnerNew, http.StatusForbidden); err != nil {
		return err
	}
	s.ok("403: no stored CA vouches for it")
	return nil
}

func (s *story) renew(ctx context.Context) error {
	var bundle struct {
		Members []struct {
			Item struct{ ID string } `json:"item"`
		} `json:"members"`
	}
	out, err := s.certvigil(ctx, "ca", "show", "Partner CA", "--json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), &bundle); err != nil || len(bundle.Members) != 1 {
		return fmt.Errorf("reading the bundle: %d members: %w", len(bundle.Members), err)
	}
	item := bundle.Members[0].Item.ID
	s.say("A token for this one item may bring a CA with a new key; any other would only propose it.")
	out, err = s.certvigil(ctx, "token", "create", "--name", "partner", "--scope", "renew", "--item", item, "--json")
	if err != nil {
		return err
	}
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(out), &token); err != nil || token.Token == "" {
		return fmt.Errorf("reading the token: %w", err)
	}
	answer, err := s.exchange(ctx, request{
		URL: "http://" + s.admin + "/renewals?item=" + item, Body: s.path(renewedCA),
		Headers: map[string]string{"Authorization": "Bearer " + token.Token, "Content-Type": "application/x-pem-file"},
	}, http.StatusCreated)
	if err != nil {
		return err
	}
	text, err := indented([]byte(answer.Body))
	s.output(text)
	return err
}

// live asks until the listener has taken the change, which it does within a
// second.
func (s *story) live(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	r := s.toApplication(partnerNew)
	s.command(r.curl()...)
	for asked := 1; ; asked++ {
		answer, err := r.do(ctx)
		if err == nil && answer.Status == http.StatusOK {
			s.output(answer.Proto + " 200 OK\n\n" + answer.Body)
			s.ok("admitted at try %d, without a restart; the old CA stays trusted until it ends", asked)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the new CA's client is still refused (status %d): %w", answer.Status, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}
