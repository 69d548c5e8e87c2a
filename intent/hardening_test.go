package intent_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

func TestProfilesWithoutDefaultsForPodsGiveNone(t *testing.T) {
	assert.True(t, intent.HardeningOf(&v1alpha1.SecurityProfileSpec{}).Empty())
}

// A profile that did not pass an API server has the defaults of the kind nevertheless.
func TestEmptyDefaultsForPodsAreThoseOfTheKind(t *testing.T) {
	h := intent.HardeningOf(&v1alpha1.SecurityProfileSpec{SecurityContext: &v1alpha1.SecurityContextConfig{}, Workload: &v1alpha1.WorkloadPolicy{}})
	require.False(t, h.Empty())
	assert.Equal(t, &model.SecurityContextDefaults{
		RunAsNonRoot: true, RunAsUser: 1000, RunAsGroup: 1000, FSGroup: 1000, ReadOnlyRootFilesystem: true,
		WritablePaths: []string{"/tmp"}, Seccomp: model.LocalProfile{Type: "RuntimeDefault"},
	}, h.SecurityContext)
	assert.Equal(t, &model.WorkloadDefaults{NoToken: true, SecretVolumes: true, PullMovingTags: true}, h.Workload)
}

func TestWhatAProfileSaysOfPodsCounts(t *testing.T) {
	no, yes := false, true
	h := intent.HardeningOf(&v1alpha1.SecurityProfileSpec{
		SecurityContext: &v1alpha1.SecurityContextConfig{
			RunAsNonRoot: &no, WritablePaths: []string{}, SeccompProfile: &v1alpha1.LocalProfile{Type: "Localhost", LocalhostProfile: "app.json"}, AppArmorProfile: &v1alpha1.LocalProfile{Type: "RuntimeDefault"},
		},
		Workload: &v1alpha1.WorkloadPolicy{AutomountServiceAccountToken: &yes, SecretVolumes: v1alpha1.Disabled, Spread: v1alpha1.Enabled, AntiAffinity: v1alpha1.Enabled, DNSPolicy: "Default"},
	})
	assert.False(t, h.SecurityContext.RunAsNonRoot)
	assert.Empty(t, h.SecurityContext.WritablePaths)
	assert.Equal(t, model.LocalProfile{Type: "Localhost", Name: "app.json"}, h.SecurityContext.Seccomp)
	assert.Equal(t, "RuntimeDefault", h.SecurityContext.AppArmor.Type)
	assert.Equal(t, &model.WorkloadDefaults{PullMovingTags: true, Spread: true, AntiAffinity: true, DNSPolicy: "Default"}, h.Workload)
}
