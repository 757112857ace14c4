package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), versionLine())
			return err
		},
	}
}

// version is the version or the revision the binary was built from.
func version() string {
	v := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && v == "(devel)" {
				v = s.Value
			}
		}
	}
	if v == "" || v == "(devel)" {
		return "devel"
	}
	return v
}

// versionLine is "edge", the version, and what it was built with and for.
func versionLine() string {
	return fmt.Sprintf("edge %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
