package manifest

import (
	"regexp"
	"strings"
	"unicode"

	yaml "go.yaml.in/yaml/v3"
)

// text writes a string: plain where every reader takes it for a string, as a
// block where it has lines, quoted otherwise.
func text(s string) *yaml.Node {
	n := scalar("!!str", s)
	switch {
	case strings.Contains(s, "\n"):
		n.Style = yaml.DoubleQuotedStyle
		if isBlock(s) {
			n.Style = yaml.LiteralStyle
		}
	case isAmbiguous(s):
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// isBlock tells whether a string of several lines survives as a block scalar.
func isBlock(s string) bool {
	if strings.ContainsAny(s[:1], " \t\n") || strings.HasSuffix(s, "\n\n") {
		return false
	}
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimRight(line, " \t") != line {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !isPlainRune(r) })
}

func isPlainRune(r rune) bool { return r >= ' ' && r < unicode.MaxRune && unicode.IsPrint(r) }

// oldScalars are strings that YAML 1.1, which Kubernetes reads, takes for
// something else, and that a writer of YAML 1.2 would leave bare: booleans,
// base-60 numbers, numbers with underscores, merge keys.
var oldScalars = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null|~|=|<<|` +
	`[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?[0-9.][0-9a-fx_.e+-]*)$`)

// isAmbiguous tells whether a one-line string must be quoted whatever the
// writer thinks; it may say so too often, never too rarely.
func isAmbiguous(s string) bool {
	return s == "" || oldScalars.MatchString(s) || strings.ContainsFunc(s, func(r rune) bool { return !isPlainRune(r) })
}
