package audit_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// What palisade plans may not be what its audit finds closed or void: two packages that
// know nothing of each other must be of one mind on what a CNI and a mesh make of a policy.
func TestWhatIsPlannedIsNotFoundAtFault(t *testing.T) {
	const daemonSet = "\n---\n{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: %[1]s, namespace: kube-system}, spec: {selector: {matchLabels: {app: %[1]s}}, template: {metadata: {labels: {app: %[1]s}}, spec: {hostNetwork: true, containers: [{name: c, image: c}]}}}}"
	files, err := filepath.Glob("testdata/planned/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		for _, cni := range []string{"", "cilium", "calico-node", "kindnet", "aws-node"} {
			t.Run(filepath.Base(file)+" "+cni, func(t *testing.T) {
				extra := ""
				if cni != "" {
					extra = fmt.Sprintf(daemonSet, cni)
				}
				given := engine.Given{PodCIDRs: []string{"10.244.0.0/16"}, ServiceCIDRs: []string{"10.96.0.0/16"}}
				s, err := cluster.Read([]string{file, "-"}, strings.NewReader(extra), cluster.Options{})
				require.NoError(t, err)
				r := engine.Run(s, engine.Options{Given: given, Now: noon})
				planned := 0
				for _, o := range r.Objects {
					if o.Ref().Kind != "Namespace" {
						s.Objects = append(s.Objects, o)
						planned++
					}
				}
				require.Positive(t, planned)
				for _, f := range engine.Inspect(s, engine.Options{Given: given, Now: noon}).Findings {
					assert.NotContains(t, []string{
						"APIServerHalfOpen", "AmbientProbesClosed", "DNSClosed", "IPBlockFindsPods", "IPBlockMissesPods", "InertLookingIsolation", "MeshControlPlaneClosed",
						"MetadataOpen", "PeerMatchesNothing", "PolicyPortIsServicePort", "PolicyPortUnknown", "PolicySelectsNothing", "PolicyShadowedByAllowAll",
						"ProbesClosed", "TunnelPortClosed", "WebhookClosed",
					}, f.Code, "%s %s: %s", f.Subject, f.Field, f.Message)
					if f.Code == "NotIsolated" {
						assert.NotEqual(t, "shop", f.Subject.Name)
					}
					if f.Code == "TunnelErasesPorts" {
						assert.Equal(t, model.Info, f.Severity, f.Message)
					}
				}
			})
		}
	}
}
