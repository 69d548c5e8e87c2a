package pss

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// looked are the fields that alike compares, and passed those that no check looks at. A
// field that the library's types add fails the test: see whether a check looks at it.
var (
	looked = map[string][]string{
		"PodSpec":       {"HostNetwork", "HostPID", "HostIPC", "HostUsers", "OS", "SecurityContext", "Volumes", "InitContainers", "Containers", "EphemeralContainers"},
		"Container":     {"Name", "Ports", "RestartPolicy", "SecurityContext", "LivenessProbe", "ReadinessProbe", "StartupProbe", "Lifecycle"},
		"ContainerPort": {"HostPort"},
		"Probe":         {"ProbeHandler"},
		"ProbeHandler":  {"HTTPGet", "TCPSocket"},
		"Lifecycle":     {"PostStart", "PreStop"},
	}
	passed = map[string][]string{
		"PodSpec": {
			"RestartPolicy", "TerminationGracePeriodSeconds", "ActiveDeadlineSeconds", "DNSPolicy", "NodeSelector", "ServiceAccountName",
			"DeprecatedServiceAccount", "AutomountServiceAccountToken", "NodeName", "ShareProcessNamespace", "ImagePullSecrets", "Hostname",
			"Subdomain", "Affinity", "SchedulerName", "Tolerations", "HostAliases", "PriorityClassName", "Priority", "DNSConfig", "ReadinessGates",
			"RuntimeClassName", "EnableServiceLinks", "PreemptionPolicy", "Overhead", "TopologySpreadConstraints", "SetHostnameAsFQDN",
			"SchedulingGates", "ResourceClaims", "Resources", "HostnameOverride", "SchedulingGroup", "EvictionResponders",
		},
		"Container": {
			"Image", "Command", "Args", "WorkingDir", "EnvFrom", "Env", "Resources", "ResizePolicy", "RestartPolicyRules", "VolumeMounts",
			"VolumeDevices", "TerminationMessagePath", "TerminationMessagePolicy", "ImagePullPolicy", "Stdin", "StdinOnce", "TTY",
		},
		"ContainerPort": {"Name", "ContainerPort", "Protocol", "HostIP"},
		"Probe":         {"InitialDelaySeconds", "TimeoutSeconds", "PeriodSeconds", "SuccessThreshold", "FailureThreshold", "TerminationGracePeriodSeconds"},
		"ProbeHandler":  {"Exec", "GRPC"},
		"Lifecycle":     {"StopSignal"},
	}
)

func TestEveryFieldOfAPodIsComparedOrKnownToBePassedOver(t *testing.T) {
	for _, value := range []any{corev1.PodSpec{}, corev1.Container{}, corev1.ContainerPort{}, corev1.Probe{}, corev1.ProbeHandler{}, corev1.Lifecycle{}} {
		kind := reflect.TypeOf(value)
		known := slices.Concat(looked[kind.Name()], passed[kind.Name()])
		for i := range kind.NumField() {
			assert.Contains(t, known, kind.Field(i).Name, "of %s", kind.Name())
		}
		assert.Len(t, known, kind.NumField(), "of %s", kind.Name())
	}
}

// Whatever a fixture of the library changes in a pod to have a check refuse it must tell the two apart.
func TestPodsThatTheChecksTellApartAreNotAlike(t *testing.T) {
	compared, e := 0, NewEvaluator()
	for _, level := range []string{"baseline", "restricted"} {
		for _, version := range []string{"v1.0", "v1.25", "v1.37"} {
			pods := fixturesOf(t, level, version)
			checks := make([][]string, len(pods))
			for i, a := range pods {
				checks[i] = checksOf(e.Level(a, version))
				for j, b := range pods[:i] {
					if alike(a, b) {
						compared++
						assert.Equal(t, checks[i], checks[j], "%s and %s are not alike", a.ID.Name, b.ID.Name)
					}
				}
			}
		}
	}
	assert.NotZero(t, compared, "some fixtures are alike")
}

func checksOf(v Verdict) []string {
	var ids []string
	for _, violation := range v.Violations {
		ids = append(ids, violation.Check)
	}
	return ids
}

// fixturesOf are the pods by which the library tests a level, those that pass and those that fail.
func fixturesOf(t *testing.T, level, version string) []*model.Workload {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test/testdata", level, version, "*/*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	pods := make([]*model.Workload, 0, len(files))
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var p corev1.Pod
		require.NoError(t, yaml.Unmarshal(data, &p))
		pods = append(pods, &model.Workload{
			ID: model.WorkloadID{Namespace: "fixtures", Kind: "Pod", Name: p.Name}, Running: true,
			Labels: p.Labels, Annotations: p.Annotations, Spec: p.Spec,
		})
	}
	return pods
}
