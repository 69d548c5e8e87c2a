package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(s.out, version()+"\n")
			return err
		},
	}
}

// version is what the build recorded: the module's version, or the commit of the clone, and the Go release.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "palisade, of an unknown version"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := "palisade " + info.Main.Version
	if revision := settings["vcs.revision"]; revision != "" {
		text += fmt.Sprintf(" (commit %.12s)", revision)
	}
	return text + ", " + info.GoVersion
}
