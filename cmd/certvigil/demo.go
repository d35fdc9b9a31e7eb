package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/certvigil/certvigil/internal/demo"
)

func newDemo(e *env) *cobra.Command {
	var exit bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the whole of it at work: no configuration, no network",
		Long: `Run a complete example in a temporary folder: a PKI, the daemon, an application
to guard, and receivers of mail, Slack messages and webhooks, all on loopback.
Every step is carried out for real and shown with the command that repeats it.
Then it keeps running until Ctrl-C.`,
		Example: `  certvigil demo
  certvigil demo --exit   # ends after the story; non-zero when a step went otherwise`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			out, ok := e.stdout.(*os.File)
			return demo.Run(cmd.Context(), demo.Options{
				Binary: self, Out: e.stdout, Exit: exit, Now: e.now,
				Color: ok && term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == "",
			})
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "end after the story")
	return cmd
}
