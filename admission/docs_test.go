package admission

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheDocumentationListsAllThatIsRefused(t *testing.T) {
	page, err := os.ReadFile("../docs/admission.md")
	require.NoError(t, err)
	rows := 0
	for _, n := range nevers {
		assert.Contains(t, string(page), fmt.Sprintf("| <a id=%q></a>`%s` | %s |\n", n.name, n.name, n.why))
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| <a id=") {
			rows++
		}
	}
	assert.Equal(t, len(nevers), rows, "the page lists no more than is refused")
	for _, said := range []string{
		"palisade has not read the whole cluster yet", "other changes are being judged", "not all of them were judged as clients",
		"the judgement is incomplete, since something of the cluster is not known",
	} {
		assert.Contains(t, string(page), said)
	}
}
