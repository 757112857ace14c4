// Command edge is the edge server: one file per verb. What the verbs do lives in the packages; here is only what ties them
// together.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"edge/runtime/config"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // a configuration with problems, or a start that failed; trying again will not help
	exitUsage  = 2 // a command line that is not valid
	exitForced = 3 // stopped before everything was drained
)

// commands are the verbs.
func commands() []*cobra.Command {
	return []*cobra.Command{
		runCommand(),
		childCommand(),
		reloadCommand(),
		upgradeCommand(),
		drainCommand(),
		stopCommand(),
		checkCommand(),
		explainCommand(),
		statusCommand(),
		versionCommand(),
	}
}

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// status is the error of a verb that has run: its exit status, and what is left to be said, if anything.
type status struct {
	code int
	err  error
}

// Error is the text of the error, or "".
func (s *status) Error() string {
	if s.err == nil {
		return ""
	}
	return s.err.Error()
}

// Unwrap is the error in it.
func (s *status) Unwrap() error { return s.err }

// failed is the status of a verb that could not do its work; err may be nil if it has said why.
func failed(err error) error { return &status{exitFailed, err} }

// execute runs one command line and returns the exit status.
func execute(args []string, out, errs io.Writer) int {
	root := &cobra.Command{
		Use:           "edge",
		Short:         "An edge server that runs WebAssembly filters",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(commands()...)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	ran, err := root.ExecuteC()
	var s *status
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		var problems config.Problems
		switch {
		case errors.As(s.err, &problems):
			fmt.Fprintln(errs, problems)
		case s.err != nil:
			fmt.Fprintf(errs, "edge: %v\n", s.err)
		}
		return s.code
	}
	fmt.Fprintf(errs, "edge: %v\nTry \"%s --help\".\n", err, ran.CommandPath())
	return exitUsage
}
