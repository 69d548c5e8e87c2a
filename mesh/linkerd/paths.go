package linkerd

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern chooses request paths: one exactly, or all that begin with a text.
type pattern struct {
	text   string
	prefix bool
}

// everyPath is the pattern of all paths.
var everyPath = pattern{text: "/", prefix: true}

// parsePattern reads a path of the intent: exact, or ending in "*".
func parsePattern(path string) pattern {
	if text, found := strings.CutSuffix(path, "*"); found {
		return pattern{text: text, prefix: true}
	}
	return pattern{text: path}
}

// covers tells whether every path of the other pattern is one of p.
func (p pattern) covers(other pattern) bool {
	return p == other || p.prefix && strings.HasPrefix(other.text, p.text)
}

func comparePatterns(a, b pattern) int {
	switch {
	case a.text != b.text:
		return cmp.Compare(a.text, b.text)
	case a.prefix == b.prefix:
		return 0
	case a.prefix:
		return -1
	default:
		return 1
	}
}

// longestPath is the CRD's limit on a path match.
const longestPath = 1024

// match renders a pattern less the paths of some patterns inside it.
//
// Linkerd prefers the longest match and lets age decide between equals, and a
// regular expression counts as long as the whole path, as an exact path does. So
// that no request ever has two candidates, the matches are made disjoint: what
// belongs to another pattern is cut out of the expression. A path prefix of
// Gateway API is no use here: "/api" would match "/api/", and "/api/" "/api".
// The one exception is the prefix "/", which is shorter than all others.
func (p pattern) match(inside []pattern) (httpPathMatch, error) {
	root := pattern{text: "/"}
	switch {
	case !p.prefix:
		return httpPathMatch{Type: "Exact", Value: p.text}, nil
	case p == everyPath && !slices.Contains(inside, root):
		return httpPathMatch{Type: "PathPrefix", Value: "/"}, nil
	}
	rest := make([]pattern, len(inside))
	for i, q := range inside {
		rest[i] = pattern{text: strings.TrimPrefix(q.text, p.text), prefix: q.prefix}
	}
	value := regexp.QuoteMeta(p.text) + remainder(rest)
	if len(value) > longestPath {
		return httpPathMatch{}, fmt.Errorf("the path %s*, less what other rules say of parts of it, takes an expression of %d characters, and Linkerd takes %d",
			p.text, len(value), longestPath)
	}
	return httpPathMatch{Type: "RegularExpression", Value: value}, nil
}

// remainder is an expression for every text but those of the given patterns.
// Rust's expressions know no negative lookahead, so it goes letter by letter.
func remainder(without []pattern) string {
	if len(without) == 0 {
		return ".*"
	}
	empty := slices.Contains(without, pattern{})
	byLetter := map[rune][]pattern{}
	var letters []rune
	for _, q := range without {
		if q.text == "" {
			continue
		}
		letter, size := utf8.DecodeRuneInString(q.text)
		if byLetter[letter] == nil {
			letters = append(letters, letter)
		}
		byLetter[letter] = append(byLetter[letter], pattern{text: q.text[size:], prefix: q.prefix})
	}
	if len(letters) == 0 { // only the empty text is left out
		return ".+"
	}
	slices.Sort(letters)
	parts := []string{"[^" + class(letters) + "].*"}
	for _, letter := range letters {
		if !slices.Contains(byLetter[letter], pattern{prefix: true}) {
			parts = append(parts, regexp.QuoteMeta(string(letter))+remainder(byLetter[letter]))
		}
	}
	expression := "(?:" + strings.Join(parts, "|") + ")"
	if empty {
		return expression
	}
	return expression + "?"
}

// class writes letters for a character class.
func class(letters []rune) string {
	var b strings.Builder
	for _, letter := range letters {
		if strings.ContainsRune(`\]^-[&~`, letter) {
			fmt.Fprintf(&b, `\x%02X`, letter)
		} else {
			b.WriteRune(letter)
		}
	}
	return b.String()
}
