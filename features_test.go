package palisade_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// features are those that are promised, by the ids under which tests name them: "// Features: C4, D1." above a test.
var features = map[string]string{
	"C1": "roots and issuers: expiry, chain, algorithms",
	"C2": "the certificate of every workload in one view",
	"C3": "every proxy trusts the bundle of today",
	"C4": "renewal is proven",
	"C5": "an issuer that stalls is found",
	"C6": "the state of a root's rotation, and what is next",
	"C7": "the webhook's own certificate is renewed without a restart",
	"D1": "handshakes: the chain leads to the bundle, and the name is the service account's",
	"D2": "plaintext is refused",
	"D3": "a wrong identity is refused",
	"D4": "the right identity gets in",
	"D5": "every port that listens, declared or not",
	"D6": "evidence of mutual TLS for each edge",
	"D7": "verification in the cluster, by a schedule",
	"D8": "a report for people and for programs, and what differs between two",
	"G1": "the labels of Pod Security are set, pinned to a version, and drift is repaired",
	"G2": "the highest level of Pod Security that pods and templates of a namespace satisfy",
	"G8": "disruption budgets that know the replica count, and never block a drain",

	"G12":     "images: root, places that are written, moving tags, allowed registries",
	"REQ-460": "a gate over what scanners of images and code reported",
	"REQ-461": "runtime events of Falco, mapped to what is promised",
}

var featuresOf = regexp.MustCompile(`(?m)^// Features: (.+)\.\nfunc (Test\w+)\(`)

func TestEveryFeatureIsNamedByATest(t *testing.T) {
	named := map[string][]string{}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found := featuresOf.FindAllStringSubmatch(string(text), -1)
		if said := strings.Count(string(text), "\n// Features: "); said != len(found) && path != "features_test.go" {
			return fmt.Errorf("%s: a line \"// Features: …\" must end the comment of a test", path)
		}
		for _, m := range found {
			for _, id := range strings.Split(m[1], ", ") {
				named[id] = append(named[id], path+" "+m[2])
			}
		}
		return nil
	}))
	for id, says := range features {
		assert.NotEmpty(t, named[id], "no test names %s (%s)", id, says)
	}
	for id, tests := range named {
		assert.Contains(t, features, id, "%s", slices.Compact(tests))
	}
}
