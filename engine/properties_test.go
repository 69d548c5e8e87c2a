package engine_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/manifest"
	"floe.dev/palisade/model"
)

func rendered(r engine.Result) []byte { return manifest.MarshalAll(r.Objects) }

func TestTheSameInputGivesTheSameBytesInAnyOrder(t *testing.T) {
	documents := []string{facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, other, webToAPI, webhook}
	want := rendered(runYAML(t, engine.Given{}, documents...))
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		random.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
		assert.Equal(t, string(want), string(rendered(runYAML(t, engine.Given{}, documents...))))
	}
}

func TestRenderingWhatWasRenderedChangesNothing(t *testing.T) {
	for name, mesh := range map[string][]string{
		"none": {plainShop}, "sidecar": {istio, istioCNI, sidecarShop}, "ambient": {istio, ztunnel, ambientShop}, "linkerd": {linkerd, linkerdShop},
	} {
		t.Run(name, func(t *testing.T) {
			documents := append([]string{facts, kubeDNS, profile, web, api, other, webToAPI, webhook}, mesh...)
			once := rendered(runYAML(t, engine.Given{}, documents...))
			again := runYAML(t, engine.Given{}, append(documents, string(once))...)
			assert.Equal(t, string(once), string(rendered(again)))
			for _, c := range again.Plan.Changes {
				assert.Fail(t, "a change is planned against what was just rendered", "%s\n%s", c.Ref, c.Diff)
			}
		})
	}
}

func TestAddingOneRuleChangesOnlyTheObjectsThatItConcerns(t *testing.T) {
	rule := strings.NewReplacer("name: api", "name: api-admin", "port: http", "port: admin", "{app: web}}}}]", "{app: other}}}}]").Replace(webToAPI)
	bystander := strings.NewReplacer("name: web", "name: bystander", "app: web", "app: bystander").Replace(web)
	for name, mesh := range map[string][]string{
		"none": {plainShop}, "sidecar": {istio, istioCNI, sidecarShop}, "ambient": {istio, ztunnel, ambientShop}, "linkerd": {linkerd, linkerdShop},
	} {
		t.Run(name, func(t *testing.T) {
			documents := append([]string{facts, kubeDNS, profile, web, api, other, bystander, webToAPI}, mesh...)
			before := byRef(runYAML(t, engine.Given{}, documents...))
			after := byRef(runYAML(t, engine.Given{}, append(documents, rule)...))
			for ref, was := range before {
				require.Contains(t, after, ref, "an object is renamed or gone")
				if !bytes.Equal(was, after[ref]) {
					concerned := strings.Contains(string(after[ref]), "api") || strings.Contains(ref.Name, "other") || strings.Contains(ref.Name, "scope")
					assert.True(t, concerned, "%s changed", ref)
				}
			}
			assert.NotEqual(t, before, after)
		})
	}
}

func byRef(r engine.Result) map[model.Ref][]byte {
	all := map[model.Ref][]byte{}
	for _, o := range r.Objects {
		all[o.Ref()] = manifest.Marshal(o)
	}
	return all
}

func TestAllowsAreWrittenBeforeDenies(t *testing.T) {
	r := sidecarCase(t)
	assert.True(t, slices.IsSortedFunc(r.Objects, model.CompareObjects))
	last := r.Objects[len(r.Objects)-1]
	assert.Equal(t, model.PhaseDeny, last.Phase)
	for _, o := range r.Objects {
		if o.Ref().Name == "palisade-default" || o.Ref().Name == "palisade-deny-all" || o.Ref().Name == "palisade-strict" {
			assert.Equal(t, model.PhaseDeny, o.Phase, "%s", o.Ref())
		}
	}
}
