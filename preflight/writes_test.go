package preflight

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

// written finds the kinds in golden outputs of the compilers, which are YAML documents with apiVersion and kind at their left.
func written(t *testing.T, pattern string) map[[2]string]bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	kinds := map[[2]string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^apiVersion: (\S+)\nkind: (\S+)$`).FindAllStringSubmatch(string(text), -1) {
			kinds[[2]string{m[1], m[2]}] = true
		}
	}
	return kinds
}

// What the compilers write is what the controller is given the rights for, no more and no less.
func TestTheRightsToWriteAreThoseThatTheCompilersNeed(t *testing.T) {
	cnis := map[model.MeshKind]string{model.MeshNone: "cilium"} // whose own policies netpol writes
	for kind, pattern := range map[model.MeshKind]string{
		model.MeshIstio:   "../mesh/istio/testdata/*.out.yaml",
		model.MeshLinkerd: "../mesh/linkerd/testdata/*.out.yaml",
		model.MeshNone:    "../netpol/testdata/*.out.yaml",
	} {
		t.Run(string(kind), func(t *testing.T) {
			found := written(t, pattern)
			require.NotEmpty(t, found)
			maps.Copy(found, written(t, "../budget/testdata/*.out.yaml"))
			listed := map[[2]string]bool{}
			for _, version := range []string{"v1beta1", "v1beta2", "v1beta3"} { // of Linkerd's Server
				for _, w := range Writes(&model.Cluster{CNI: cnis[kind], Mesh: model.Mesh{Kind: kind, Ambient: true, Linkerd: model.LinkerdFacts{ServerVersion: version}}}) {
					listed[[2]string{w.version(), w.Kind}] = true
				}
			}
			for of := range found {
				assert.True(t, listed[of], "%v is written, and Writes does not list it", of)
			}
			for of := range listed {
				common := of[1] == "Namespace" || of[1] == "NetworkPolicy" && kind != model.MeshNone
				assert.True(t, common || found[of] || of[1] == "Server", "%v is listed, and nothing writes it", of)
			}
		})
	}
}

// version is the apiVersion of a kind.
func (s Served) version() string {
	if s.Group == "" {
		return s.Version
	}
	return s.Group + "/" + s.Version
}
