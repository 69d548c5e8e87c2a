package audit

import "floe.dev/palisade/model"

// ciliumExclusiveRemovesMeshCNI is reported by package intent, network.go.
func ciliumExclusiveRemovesMeshCNI() Kind {
	return Kind{
		Code: "CiliumExclusiveRemovesMeshCNI", Severities: []model.Severity{model.Error},
		Says: "Cilium switches the mesh's CNI plugin off: new pods are not redirected",
		Why:  "Cilium then renames the configuration files of others, the mesh's plugin among them, and the kubelet no longer calls it.",
		Fix:  "Let Cilium tolerate other plugins, then restart its agents and the mesh's CNI pods",
	}
}
