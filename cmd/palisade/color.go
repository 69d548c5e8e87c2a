package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// colors are the escape sequences of ECMA-48 for each kind of text.
var colors = map[string]string{
	"title":   "\x1b[1m",
	"quiet":   "\x1b[2m",
	"add":     "\x1b[32m",
	"change":  "\x1b[33m",
	"remove":  "\x1b[31m",
	"hunk":    "\x1b[36m",
	"error":   "\x1b[31m",
	"warning": "\x1b[33m",
	"info":    "\x1b[36m",
}

// palette colours text by what it is, or leaves it as it is.
func palette(mode string, out io.Writer) func(what, text string) string {
	if mode == "never" || mode == "auto" && !wantsColor(out) {
		return func(_, text string) string { return text }
	}
	return func(what, text string) string {
		if colors[what] == "" {
			return text
		}
		return colors[what] + text + "\x1b[0m"
	}
}

// wantsColor tells whether out is a terminal whose user did not turn colours off (no-color.org).
func wantsColor(out io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(out)
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
