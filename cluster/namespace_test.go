package cluster_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
)

const wholeNamespace = `
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {team: sales, pod-security.kubernetes.io/enforce: baseline}
  annotations: {note: whole}
---
`

func TestAPartOfANamespaceMayStandBesideTheWhole(t *testing.T) {
	s, err := cluster.Read([]string{"-"}, strings.NewReader(wholeNamespace+`
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {pod-security.kubernetes.io/enforce: restricted, team: sales}
`), cluster.Options{})
	require.NoError(t, err)
	require.Len(t, s.Namespaces, 1)
	assert.Equal(t, map[string]string{
		"kubernetes.io/metadata.name": "shop", "team": "sales", "pod-security.kubernetes.io/enforce": "restricted",
	}, s.Namespaces[0].Labels, "the later Pod Security label holds")
	require.Len(t, s.Objects, 1)
	assert.Equal(t, map[string]string{"team": "sales", "pod-security.kubernetes.io/enforce": "restricted"}, s.Objects[0].Labels())
	assert.Equal(t, map[string]string{"note": "whole"}, s.Objects[0].Annotations())
}

func TestNamespacesThatContradictEachOtherAreAFault(t *testing.T) {
	_, err := cluster.Read([]string{"-"}, strings.NewReader(wholeNamespace+`
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: logistics}}
`), cluster.Options{})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "Namespace shop): is there twice with different content")
}
