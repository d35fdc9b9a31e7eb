package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/app"
)

func newVersion(e *env) *cobra.Command {
	return e.withJSON(&cobra.Command{
		Use: "version", Short: "Print the version", Args: usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": app.Version(), "go": runtime.Version()}
			return e.print(v, func() { e.printf("certvigil %s (%s)\n", v["version"], v["go"]) })
		},
	})
}
