package apiserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// profile is a namespace and a profile that governs it, for the level to be filled in.
const profile = `
apiVersion: v1
kind: Namespace
metadata: {name: guarded}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: guarded}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: guarded}}
  mesh: {mtls: Unmanaged}
  podSecurity: {enforce: %s}
`

// TestFindingsOfPodSecurityAreTheServersVerdicts labels a namespace as palisade
// renders it, for each level, and asks the server's own admission about each pod of
// testdata/pods.yaml: what it refuses is what palisade finds, for the same reasons.
func TestFindingsOfPodSecurityAreTheServersVerdicts(t *testing.T) {
	pods := read(t, []string{"testdata/pods.yaml"})
	want := map[string]struct{ admitted, refused []string }{
		"privileged": {admitted: []string{"clean", "privileged", "host-network"}},
		"baseline":   {admitted: []string{"clean", "plain"}, refused: []string{"privileged", "host-network"}},
		"restricted": {admitted: []string{"clean"}, refused: []string{"plain", "privileged", "root"}},
	}
	for level, expected := range want {
		t.Run(level, func(t *testing.T) {
			intent := write(t, "intent.yaml", fmt.Appendf(nil, profile, level))
			found := podFindings(t, intent, "testdata/pods.yaml")
			s := newServer(t)
			s.given(t, read(t, []string{intent}))
			s.applyAll(t, decode(t, []byte(palisade(t, "render", "--mesh", "none", "-f", intent).out)), false)
			refused := s.refusals(t, pods)
			for _, name := range expected.admitted {
				assert.NotContains(t, refused, name)
			}
			for _, name := range expected.refused {
				assert.Contains(t, refused, name)
			}
			for _, pod := range pods {
				name := pod.GetName()
				assert.Equal(t, refused[name] != "", found[name] != "", "pod %s: the server says %q, palisade %q", name, refused[name], found[name])
				reasons, _, _ := strings.Cut(found[name], "; fields: ")
				assert.True(t, strings.HasSuffix(reasons, refused[name]), "pod %s: the server says %q, palisade %q", name, refused[name], found[name])
				assert.NotContains(t, found[name], "itself is accepted", "a Pod is refused itself")
			}
		})
	}
}

// TestServerWarnsOfTheRunningPodsThatPlanFinds labels a namespace in which pods run already.
func TestServerWarnsOfTheRunningPodsThatPlanFinds(t *testing.T) {
	intent := write(t, "intent.yaml", fmt.Appendf(nil, profile, "restricted"))
	s := newServer(t)
	s.given(t, read(t, []string{intent, "testdata/pods.yaml"}))
	found := podFindings(t, write(t, "dump.json", s.dump(t, s.written)))
	rendered := decode(t, []byte(palisade(t, "render", "--mesh", "none", "-f", intent).out))
	require.Len(t, rendered, 1)
	_, err := s.apply(t, "palisade", rendered[0], false)
	require.NoError(t, err)
	warned := s.warnings.take()
	require.NotEmpty(t, warned)
	assert.Equal(t, `existing pods in namespace "guarded" violate the new PodSecurity enforce level "restricted:latest"`, warned[0])
	for _, pod := range read(t, []string{"testdata/pods.yaml"}) {
		assert.Equal(t, found[pod.GetName()] != "", strings.Contains(strings.Join(warned, "\n"), pod.GetName()), "pod %s in %q", pod.GetName(), warned)
	}
}

// podFindings are the messages of PodBelowEnforce by pod.
func podFindings(t *testing.T, paths ...string) map[string]string {
	t.Helper()
	args := []string{"plan", "-o", "json", "--mesh", "none"}
	for _, path := range paths {
		args = append(args, "-f", path)
	}
	var plan document
	require.NoError(t, json.Unmarshal([]byte(palisade(t, args...).out), &plan))
	found := map[string]string{}
	for _, f := range plan.Findings {
		if f.Code == "PodBelowEnforce" {
			found[f.Subject.Name] = f.Message
		}
	}
	return found
}

// refusals are the server's reasons for refusing pods, by name.
func (s *server) refusals(t *testing.T, pods []*object) map[string]string {
	t.Helper()
	refused := map[string]string{}
	for _, pod := range pods {
		_, err := s.resource(t, pod).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			continue
		}
		require.True(t, apierrors.IsForbidden(err), err)
		_, reasons, ok := strings.Cut(err.Error(), "violates PodSecurity ")
		require.True(t, ok, err)
		_, reasons, _ = strings.Cut(reasons, `": `)
		refused[pod.GetName()] = reasons
	}
	return refused
}
