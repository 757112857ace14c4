package main

import (
	"strings"

	"edge/filters"
	"edge/filters/headers"
	"edge/runtime/config"
)

// natives make the native filters. An error joins what is wrong, a line each; a line begins with the key in the settings.
var natives = map[string]func(name string, settings map[string]any) (filters.Filter, error){
	"headers": func(name string, settings map[string]any) (filters.Filter, error) { return headers.New(name, settings) },
}

// nativeProblems are what a native filter's maker says of the settings that stand at path.
func nativeProblems(cfg *config.Config, path []any, err error) config.Problems {
	var out config.Problems
	for line := range strings.SplitSeq(err.Error(), "\n") {
		at := path[:len(path):len(path)]
		key, what, ok := strings.Cut(line, ": ")
		if !ok || strings.ContainsAny(key, " \"") {
			key, what = "", line
		}
		for part := range strings.SplitSeq(key, ".") {
			if part != "" {
				at = append(at, part)
			}
		}
		out = append(out, cfg.Problem(at, "", "%s", what))
	}
	return out
}
