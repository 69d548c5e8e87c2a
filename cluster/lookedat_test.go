package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"floe.dev/palisade/api/v1alpha1"
)

// LookedAt tells who may have to read what: it must say the same as the readers.
func TestLookedAtListsWhatTheReadersTake(t *testing.T) {
	all := LookedAt()
	require.Greater(t, len(all), 30)
	for i, gk := range all {
		if i > 0 {
			assert.NotEqual(t, all[i-1], gk, "twice")
		}
		version := schema.GroupVersion{Group: gk.Group, Version: "v1"}
		if gk.Group == v1alpha1.GroupVersion.Group {
			version = v1alpha1.GroupVersion
		}
		kind := gk.Kind
		if kind == "" {
			kind = "Anything"
		}
		assert.True(t, looksAt(version, kind), "%s", gk)
		assert.True(t, looksAtGroup(gk.Group), "%s", gk)
	}
	assert.False(t, looksAt(schema.GroupVersion{Version: "v1"}, "Secret"))
}
