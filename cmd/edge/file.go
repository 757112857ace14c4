package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"edge/runtime/config"
	"edge/runtime/control"
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
	_, cfg, problems := readConfig(path)
	return cfg, problems
}

// readConfig is loadConfig with the text, from which children make the same configuration.
func readConfig(path string) (t control.Text, cfg *config.Config, problems config.Problems) {
	if path == "" {
		if _, err := os.Stat(defaultFile); errors.Is(err, fs.ErrNotExist) {
			return control.Text{File: config.BuiltinName, Data: []byte(config.BuiltinText)}, config.Builtin(), nil
		}
		path = defaultFile
	}
	data, cfg, problems := config.Read(path, builtIn)
	return control.Text{File: path, Data: data}, cfg, problems
}

// parseConfig makes the configuration of a text.
func parseConfig(t *control.Text) (*config.Config, config.Problems) {
	if t.File == config.BuiltinName {
		return config.Builtin(), nil
	}
	return config.Parse(t.File, t.Data, builtIn)
}
