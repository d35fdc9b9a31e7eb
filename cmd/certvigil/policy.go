package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/app"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/store"
)

func newPolicy(e *env) *cobra.Command {
	return group("policy", "Try out who is let in, and why", newPolicyTest(e))
}

// A policyQuestion holds the flags of `policy test`.
type policyQuestion struct {
	app.Question
	cert, ip, at string
}

func newPolicyTest(e *env) *cobra.Command {
	var q policyQuestion
	cmd := &cobra.Command{
		Use:   "test --host HOST",
		Short: "Tell what the listener would do with a request, which policy decides, and why",
		Long: `Tell what the listener would do with a request, which policy decides, and why
each one before it did not. The answer comes from the listener's own code, by this
configuration and what is stored now; a daemon need not run.

The exit code is 0 when the application would get the request, 1 when not. In
report-only mode it gets all of them: then "would be denied" is said, with 0.

Without --cert the client presents no certificate, without --ip its address is in
no prefix. --method OPTIONS asks about a CORS preflight.`,
		Example: `  certvigil policy test --host orders.example.com --path /admin --cert client.pem
  certvigil policy test --host orders.example.com --ip 10.1.2.3 --json
  certvigil policy test --host orders.example.com --cert client.pem --at 2027-01-31T00:00:00Z`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.readQuestion(&q); err != nil {
				return err
			}
			return e.withConfig(cmd.Context(), func(cfg *config.Config, s *store.Store) error {
				x, err := app.Explain(cmd.Context(), cfg, s, q.Question)
				if err != nil {
					return err
				}
				if err := e.print(x, func() { e.showExplanation(x) }); err != nil {
					return err
				}
				if !x.Admitted {
					return fault.New(fault.Denied, "policy", "%s", x.Outcome)
				}
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Host, "host", "", "`NAME` of the host that is asked for")
	flags.StringVar(&q.Path, "path", "/", "`PATH` that is asked for, as in a request")
	flags.StringVar(&q.Method, "method", "GET", "HTTP `METHOD`")
	flags.StringVar(&q.cert, "cert", "", "PEM `FILE` that the client presents: its certificate, then intermediates (- for standard input)")
	flags.StringVar(&q.ip, "ip", "", "`ADDRESS` of the client")
	flags.StringVar(&q.at, "at", "", "as if it were this `TIME` (RFC 3339; default now)")
	return e.withJSON(cmd)
}

func (e *env) readQuestion(q *policyQuestion) (err error) {
	if q.Host == "" {
		return fault.New(fault.Usage, "host", "--host is missing").WithHint("e.g. --host orders.example.com")
	}
	q.At = e.now()
	if q.at != "" {
		if q.At, err = time.Parse(time.RFC3339, q.at); err != nil {
			return fault.New(fault.Usage, "at", "--at %q is no RFC 3339 time", q.at).WithHint("write e.g. 2027-01-31T00:00:00Z")
		}
	}
	q.At = q.At.UTC()
	if q.ip != "" {
		if q.Addr, err = netip.ParseAddr(q.ip); err != nil {
			return fault.New(fault.Usage, "ip", "--ip %q is no address", q.ip).WithHint("write e.g. 192.0.2.7 or 2001:db8::7")
		}
	}
	if q.cert != "" {
		if q.Certificates, err = e.readInput(q.cert); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) showExplanation(x app.Explanation) {
	e.printf("%s\n\n", conclusion(x))
	e.printf("asked        %s https://%s%s at %s\n", x.Method, x.Host, x.Path, stamp(x.At))
	application := "none"
	if x.Application != "" {
		application = x.Application + " (" + x.Guards + ")"
	}
	e.printf("application  %s\n", application)
	authorities := "none is associated with this host name"
	if x.Authorities != "" {
		authorities = "of " + x.Authorities + ": " + strings.Join(x.Bundles, ", ")
	}
	e.printf("CAs          %s\n", authorities)
	e.showPresented(x)
	for i, p := range x.Policies {
		label := "policies"
		if i > 0 {
			label = ""
		}
		outcome := "decides"
		if !p.Decides {
			outcome = "passed over: " + p.Why
		}
		e.printf("%-12s %d. %s (%s) %s\n", label, i+1, p.Name, p.Action, outcome)
	}
}

// conclusion is the answer in one line.
func conclusion(x app.Explanation) string {
	text := x.Outcome
	if x.Status != 0 {
		text += " with " + strconv.Itoa(x.Status)
	}
	switch {
	case x.Policy != "":
		text += fmt.Sprintf(" by policy %q", x.Policy)
	case x.Admitted && x.Action != "":
		text += " as a CORS preflight, of nobody"
	}
	if x.Reason != "" {
		text += ": " + string(x.Reason)
	}
	return text
}

func (e *env) showPresented(x app.Explanation) {
	c := x.Certificate
	if c == nil {
		e.printf("certificate  none\n")
		return
	}
	e.printf("certificate  %s, serial %s, issued by %s, ends %s\n", c.Subject, c.Serial, c.Issuer, stamp(c.NotAfter))
	switch {
	case c.Valid:
		e.printf("             valid, vouched for by %s\n", strings.Join(c.Bundles, ", "))
	case c.Detail != "":
		e.printf("             not valid: %s (%s)\n", c.Reason, c.Detail)
	default:
		e.printf("             not valid: %s\n", c.Reason)
	}
}
