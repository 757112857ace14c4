package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"edge/runtime/config"
)

// defaultFile is read where no file is named and it is there.
const defaultFile = "edge.toml"

// builtIn is what a configuration may name that is part of the binary.
var builtIn = config.Options{
	Modules: slices.Sorted(maps.Keys(modules)),
	Natives: slices.Sorted(maps.Keys(natives)),

	Metering: true,
}

// fileFlag adds -c to a verb.
func fileFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "config", "c", "",
		"the configuration `file`; without it "+defaultFile+" if there is one, or else the built-in configuration")
}

// loadConfig reads the file that -c names, or what stands in for it. The configuration may be used only where there are
// no problems; its warnings, and its File, hold in any case.
func loadConfig(path string) (*config.Config, config.Problems) {
	if path == "" {
		if _, err := os.Stat(defaultFile); errors.Is(err, fs.ErrNotExist) {
			return config.Builtin(), nil
		}
		path = defaultFile
	}
	return config.Read(path, builtIn)
}
