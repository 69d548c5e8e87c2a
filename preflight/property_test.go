package preflight

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

// everyChange are the faults of all checks.
func everyChange() []change {
	var all []change
	for _, k := range Catalogue() {
		all = append(all, changes[k.ID]...)
	}
	return all
}

// broken is a cluster in which many things are at fault at once, and texts are anything.
func broken(seed uint64, text string) *Input {
	r := rand.New(rand.NewPCG(seed, 1))
	in := healthy()
	if r.IntN(2) == 0 {
		in = healthyLinkerd()
	}
	all := everyChange()
	for range r.IntN(12) {
		attempt(in, all[r.IntN(len(all))])
	}
	scribble(in, r, text)
	return in
}

// attempt makes a change, as far as what it changes is still there.
func attempt(in *Input, c change) {
	defer func() { _ = recover() }()
	c.do(in)
}

// scribble writes a text into places that anybody may write to.
func scribble(in *Input, r *rand.Rand, text string) {
	places := []func(){
		func() { in.Model.Cluster.Mesh.Version = text },
		func() { in.Model.Cluster.CNI = text },
		func() { in.Survey.Version = text },
		func() { in.Survey.Bundles[0].Certificates["ca-cert.pem"] = []byte(text) },
		func() { in.Mutating[0].Webhooks[0].ClientConfig.CABundle = []byte(text) },
		func() { in.Model.Existing[0].Map("spec")["caBundle"] = text },
		func() { in.Model.Existing[1].Map("data")["root-cert.pem"] = text },
		func() { in.Model.Pods[0].Spec.Containers[1].Image = text },
		func() { in.Model.Existing[0].Tree["status"] = text },
		func() { in.Model.Existing[0].Tree["spec"] = []any{text} },
		func() { in.apiServerArgs(text, strings.Fields(text)...) },
		func() { in.daemonSet("kindnet", "kindnet-cni", "kindnetd:"+text) },
	}
	for _, place := range places {
		if r.IntN(3) == 0 {
			attempt(in, change{do: func(*Input) { place() }})
		}
	}
}

func TestNothingThatAClusterHoldsBreaksAReport(t *testing.T) {
	texts := []string{"", "1.31", "edge-", "v1.", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", strings.Repeat("9", 40) + ".1", ":1.2@", "a\nb\x00c", string(made().root.pem)}
	for seed := range uint64(800) {
		in := broken(seed, texts[int(seed)%len(texts)])
		for _, r := range Run(in, Choice{}).Results {
			coherent(t, r)
		}
	}
}

func FuzzRun(f *testing.F) {
	f.Add(uint64(1), "v1.37.2")
	f.Add(uint64(2), string(made().root.pem))
	f.Add(uint64(3), "istio/proxyv2:1.31.1-distroless")
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		for _, r := range Run(broken(seed, text), Choice{}).Results {
			coherent(t, r)
		}
	})
}

// What could not be read never passes, whatever else is there.
func TestNothingPassesThatCouldNotBeRead(t *testing.T) {
	for seed := range uint64(30) {
		for _, k := range Catalogue() {
			for _, resource := range k.Reads {
				in := broken(seed, "x")
				in.problem("KindUnreadable", resource+" could not be read")
				require.Contains(t, []Status{Unknown, Skipped}, k.result(in).Status, "%s without %s", k.ID, resource)
			}
		}
	}
}

// The order in which a cluster lists its objects does not show.
func TestTheOrderOfWhatWasReadDoesNotShow(t *testing.T) {
	for seed := range uint64(100) {
		in, other := broken(seed, "v1.29"), broken(seed, "v1.29")
		if in.Survey == nil {
			continue
		}
		r := rand.New(rand.NewPCG(seed, 2))
		access := other.Survey.Access
		r.Shuffle(len(access), func(i, j int) { access[i], access[j] = access[j], access[i] })
		served := other.Survey.Served
		r.Shuffle(len(served), func(i, j int) { served[i], served[j] = served[j], served[i] })
		require.Equal(t, Run(in, Choice{}), Run(other, Choice{}))
	}
}

func TestChoicesTakeIdsAndCategories(t *testing.T) {
	ids := func(c Choice) []string {
		require.NoError(t, c.Validate())
		var ids []string
		for _, r := range Run(healthy(), c).Results {
			ids = append(ids, r.ID)
		}
		return ids
	}
	assert.Equal(t, []string{"ClockSkew"}, ids(Choice{Only: []string{"clockskew"}}))
	assert.Equal(t, []string{"PodSecurityOn"}, ids(Choice{Only: []string{"pod-security"}}))
	assert.Equal(t, []string{"RootsValid", "IssuerValid", "AuthorityStrong", "RootsAlike"}, ids(Choice{Only: []string{"certificates"}, Skip: []string{"IssuerTrusted"}}))
	assert.Len(t, ids(Choice{Skip: []string{"mesh"}}), len(Catalogue())-9)
	assert.ErrorContains(t, Choice{Skip: []string{"mash"}}.Validate(), `"mash" is neither a check nor a category`)
}

func TestTheCatalogueIsInOrderAndInPlainWords(t *testing.T) {
	last := 0
	for _, k := range Catalogue() {
		at := slices.Index(Categories(), k.Category)
		require.GreaterOrEqual(t, at, last, "%s stands after a later category", k.ID)
		last = at
		for _, text := range []string{k.What, k.Why, k.Fix} {
			require.NotEmpty(t, text, k.ID)
		}
		assert.Regexp(t, `^[A-Z][A-Za-z]+$`, k.ID)
		assert.True(t, strings.HasSuffix(k.Why, "."), "%s: why is a sentence", k.ID)
		assert.False(t, strings.HasSuffix(k.What, ".") || strings.HasSuffix(k.Fix, "."), k.ID)
	}
}

func TestNeedsNameWhatAClusterIsAskedFor(t *testing.T) {
	in := healthy()
	n := NeedsOf(in)
	assert.Equal(t, []model.Ref{
		{APIVersion: "v1", Kind: "Secret", Namespace: "istio-system", Name: "cacerts"},
		{APIVersion: "v1", Kind: "Secret", Namespace: "istio-system", Name: "istio-ca-secret"},
	}, n.Secrets)
	assert.Equal(t, []ServiceName{{"policy", "policy"}, {"istio-system", "istiod"}, {"kube-system", "metrics"}}, n.Services)
	in.For = CLI
	for _, p := range NeedsOf(in).Access {
		assert.True(t, isReading(p) && p.Optional, "the command line writes nothing: %s", p)
	}
	in.Model.Cluster.Mesh = model.Mesh{}
	assert.Empty(t, NeedsOf(in).Secrets)
}
