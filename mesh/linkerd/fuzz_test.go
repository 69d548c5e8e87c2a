package linkerd

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// FuzzReader reads objects of whatever form, for pods with whatever annotation,
// and judges by them. Beside not panicking it answers alike when asked again.
func FuzzReader(f *testing.F) {
	for seed := range uint64(8) {
		w := newWorld(seed)
		var trees []tree
		for _, o := range w.trees() {
			trees = append(trees, o.Tree)
		}
		data, err := json.Marshal(trees)
		require.NoError(f, err)
		f.Add(data, "8080,web")
	}
	f.Add([]byte(`[{"apiVersion":"policy.linkerd.io/v1beta3","kind":"Server","spec":{"podSelector":{"matchExpressions":[{"operator":"In"}]},"port":1.5}},null]`), "all-authenticated")
	f.Add([]byte(`[{"apiVersion":"gateway.networking.k8s.io/v1","kind":"GRPCRoute","metadata":5,"spec":{"parentRefs":[{"kind":"Server","group":"policy.linkerd.io","name":"s"}],"rules":[{"matches":[null]}]}}]`), "-1,,65536")
	f.Fuzz(func(t *testing.T, data []byte, annotation string) {
		var trees []map[string]any
		if utiljson.Unmarshal(data, &trees) != nil {
			return
		}
		objects := make([]model.Object, len(trees))
		for i := range trees {
			objects[i].Tree = trees[i]
		}
		m := newWorld(1).m
		for i := range m.Workloads {
			w := &m.Workloads[i]
			for _, key := range []string{inboundPolicy, requireIdentity, skipInbound, skipOutbound, opaqueAnnotation} {
				w.Annotations[key] = annotation
			}
			w.Facts = New(m.Cluster.Mesh).Facts(w)
		}
		r, again := NewReader(m, objects), NewReader(m, objects)
		require.Equal(t, r.Problems(), again.Problems())
		for i := range m.Workloads {
			server := &m.Workloads[i]
			require.Equal(t, r.Filters(server), again.Filters(server))
			for j := range m.Workloads {
				require.Equal(t, r.Ways(&m.Workloads[j], server), again.Ways(&m.Workloads[j], server))
			}
		}
		verdict.NewMap(verdict.Input{Cluster: &m.Cluster, Namespaces: m.Namespaces, Workloads: m.Workloads, Mesh: r}).Rows()
	})
}
