package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// roundTrip writes what was accepted as JSON and reads it again: it must be accepted again, and be the same.
func roundTrip(t *testing.T, r *reader, s *intent.Snapshot) {
	list := map[string]any{"apiVersion": "v1", "kind": "List"}
	var items []any
	for i := range s.Profiles {
		items = append(items, s.Profiles[i])
	}
	for i := range s.Rules {
		items = append(items, s.Rules[i])
	}
	for i := range s.ExternalAccess {
		items = append(items, s.ExternalAccess[i])
	}
	for i := range s.Exemptions {
		items = append(items, s.Exemptions[i])
	}
	for _, o := range s.Objects {
		items = append(items, o.Tree)
	}
	list["items"] = items
	data, err := json.Marshal(list)
	require.NoError(t, err)
	again, _, faults := r.files([]file{{path: "-", data: data}})
	require.Empty(t, faults)
	require.Equal(t, plain(t, s.Profiles), plain(t, again.Profiles))
	require.Equal(t, plain(t, s.Rules), plain(t, again.Rules))
	require.Equal(t, plain(t, s.ExternalAccess), plain(t, again.ExternalAccess))
	require.Equal(t, plain(t, s.Exemptions), plain(t, again.Exemptions))
	require.Equal(t, trees(s), trees(again))
}

// plain is the JSON form, in which empty and absent are alike where the API says so.
func plain(t *testing.T, v any) string {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

func trees(s *intent.Snapshot) []map[string]any {
	var all []map[string]any
	for _, o := range s.Objects {
		all = append(all, o.Tree)
	}
	return all
}

// lineBreak is what YAML 1.1 takes for the end of a line.
var lineBreak = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")

// fuzzText reads any text; it must not panic, and errors and results must hold together.
func fuzzText(f *testing.F) {
	own, err := newOwnKinds()
	require.NoError(f, err)
	r := &reader{namespace: "default", own: own} // made once: its schemas take long to prepare
	f.Fuzz(func(t *testing.T, text string) {
		s, _, faults := r.files([]file{{path: "-", data: []byte(text)}})
		for _, fault := range faults {
			require.Equal(t, "-", fault.Source.File)
			require.LessOrEqual(t, fault.Source.Line, len(lineBreak.FindAllString(text, -1))+2, fault.Error())
		}
		if len(faults) > 0 {
			return
		}
		for i := range s.Workloads {
			require.NotNil(t, s.Workloads[i].NamespaceLabels)
			require.NotEqual(t, model.Source{}, s.Workloads[i].Source)
		}
		roundTrip(t, r, s)
	})
}

func seed(f *testing.F, patterns ...string) {
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(string(text))
		}
	}
}

func FuzzRead(f *testing.F) {
	seed(f, "../../shared/inputs/*/*.yaml")
	f.Add("--- # x\r\n" + deployment("app: a", "app: a", "") + "...\n%YAML 1.1\n---\n{\"a\":1}{\"a\":2}")
	f.Add(dumpedPod("a", "app: a", "ReplicaSet/b", "Running"))
	f.Add("apiVersion: v1\nkind: List\nitems: [{<<: &a {kind: Service}, metadata: *a}]")
	fuzzText(f)
}

// FuzzYAML holds the reading of YAML to what kubectl's library makes of it.
func FuzzYAML(f *testing.F) {
	seed(f, "../../shared/inputs/*/*.yaml", "../api/v1alpha1/testdata/valid/*.yaml")
	for _, text := range []string{"a: [yes, no, 'on', 1_000, 0o17, 017, 0b11, 1e3, .5, ~, 2026-11-01, !!str 5, !!int '7', -0]", "<<: {a: 1}\nb: &x [1]\nc: *x", "1: a\ntrue: b\n1.5: c\n"} {
		f.Add(text)
	}
	bareTag := regexp.MustCompile(`!([\s,\]}]|$)`) // the parser forgets the tag "!", which nobody writes
	f.Fuzz(func(t *testing.T, text string) {
		if bareTag.MatchString(text) {
			return
		}
		nodes, err := parseYAML([]byte(text))
		if err != nil || len(nodes) != 1 {
			return
		}
		got, err := treeOf(nodes[0])
		if err != nil {
			return // stricter is right
		}
		var want any
		if yaml.Unmarshal([]byte(text), &want) != nil {
			return
		}
		want = normal(t, want)
		if got := normal(t, got); !reflect.DeepEqual(want, got) {
			t.Fatalf("%q\nkubectl: %#v\nours:    %#v", text, want, got)
		}
	})
}

func normal(t *testing.T, v any) any {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	var out any
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

func fuzzKind(f *testing.F, kind string) {
	seed(f, "../api/v1alpha1/testdata/valid/"+kind+"-*.yaml", "../api/v1alpha1/testdata/invalid/"+kind+"-*.yaml")
	fuzzText(f)
}

func FuzzSecurityProfile(f *testing.F)  { fuzzKind(f, "securityprofile") }
func FuzzTrafficRule(f *testing.F)      { fuzzKind(f, "trafficrule") }
func FuzzExternalAccess(f *testing.F)   { fuzzKind(f, "externalaccess") }
func FuzzExemption(f *testing.F)        { fuzzKind(f, "exemption") }
func FuzzNamespacePosture(f *testing.F) { fuzzKind(f, "namespaceposture") }
func FuzzMTLSReport(f *testing.F)       { fuzzKind(f, "mtlsreport") }
