package model

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NameFor makes a stable object name, "palisade-<readable>-<hash>": readable
// helps people and is cut to fit, the hash of key tells apart what reads alike. It
// depends on nothing but its arguments, so an object keeps its name whatever else
// comes and goes. The result is a DNS label of at most 63 characters.
func NameFor(readable, key string) string {
	sum := sha256.Sum256([]byte(key))
	hash := hex.EncodeToString(sum[:4])
	readable = dnsLabel(readable, 63-len(NamePrefix)-len(hash)-1)
	if readable == "" {
		return NamePrefix + hash
	}
	return NamePrefix + readable + "-" + hash
}

// NameForSelector names an object after the selector that is its subject.
func NameForSelector(selector *metav1.LabelSelector) string {
	var values []string
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		values = append(values, selector.MatchLabels[key])
	}
	for _, e := range selector.MatchExpressions {
		values = append(values, e.Values...)
	}
	return NameFor(strings.Join(values, "-"), SelectorKey(selector))
}

// longestLabelValue is the API's limit on the value of a label.
const longestLabelValue = 63

// LabelValue is a name as a label can hold it. Names of objects may have up to
// 253 characters; a long one is cut, and a hash of the whole tells apart what
// reads alike.
func LabelValue(name string) string {
	if len(name) <= longestLabelValue {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	hash := hex.EncodeToString(sum[:4])
	return strings.TrimRight(name[:longestLabelValue-len(hash)-1], "-_.") + "-" + hash
}

func dnsLabel(s string, most int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
		if b.Len() >= most {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}
