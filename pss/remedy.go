package pss

import (
	"fmt"
	"strings"

	"floe.dev/palisade/model"
)

// remedies say, for each check of the library, what its fields must be.
var remedies = map[string]string{
	"allowPrivilegeEscalation":   "set it to false",
	"appArmorProfile":            "set it to RuntimeDefault or Localhost, or leave it out",
	"capabilities_baseline":      "take out all but AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID and SYS_CHROOT",
	"capabilities_restricted":    "drop ALL, and add NET_BIND_SERVICE at most",
	"hostNamespaces":             "set it to false, or leave it out",
	"hostPathVolumes":            "use another volume, such as emptyDir or a persistent one",
	"hostPorts":                  "leave hostPort out, and put a Service in front",
	"hostProbesAndHostLifecycle": "leave host out, so that the pod itself is dialled",
	"privileged":                 "set it to false, or leave it out",
	"procMount":                  "set it to Default, or leave it out",
	"procMount_restricted":       "set it to Default, or leave it out",
	"restrictedVolumes":          "use configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or secret in its place",
	"runAsNonRoot":               "set it to true, and have an image that runs as another user than root",
	"runAsUser":                  "set another user than 0, or leave it out",
	"seLinuxOptions":             "leave user and role out, and let type be container_t, container_init_t, container_kvm_t or container_engine_t",
	"seccompProfile_baseline":    "set it to RuntimeDefault or Localhost, or leave it out",
	"seccompProfile_restricted":  "set it to RuntimeDefault, or to Localhost with a profile of the nodes",
	"sysctls":                    "leave out those that the level does not know to be safe",
	"windowsHostProcess":         "set it to false, or leave it out",
}

// remedy says what to change for a violation: in the workload's object, and in what the mesh injects.
func remedy(mesh model.Mesh, w *model.Workload, v Violation) string {
	var fixes []string
	if len(v.Fields) > 0 {
		fixes = append(fixes, fmt.Sprintf("%s: %s", strings.Join(v.Fields, ", "), remedies[v.Check]))
	}
	if len(v.Injected) > 0 {
		fixes = append(fixes, strings.TrimSuffix(injectionFix(mesh, w, []Violation{v}), orExempt))
	}
	return strings.Join(fixes, "; ")
}
