package harden

import (
	"hash/fnv"
	"path"
	"slices"
	"strconv"
	"strings"
)

// container gives a container that is not of a mesh its defaults.
func (w *work) container(c *container) {
	if w.policy.security != nil && !w.exempt {
		w.security(c)
	}
	if w.policy.workload != nil {
		w.resources(c)
		w.pull(c)
		w.readOnlySecrets(c)
	}
}

func (w *work) security(c *container) {
	w.ownUser(c)
	if w.pod.windows { // no field but runAsNonRoot is for Windows (KEP-2802)
		return
	}
	if c.context.privileged == yes {
		w.keep(c, "securityContext.privileged", "gives it all rights of the node, so that its security context is left as it is",
			"name the capabilities that it needs instead, or have an Exemption of the layer PodSecurity")
		return
	}
	w.tellRoot(c)
	w.escalation(c)
	w.ownCapabilities(c)
	w.confine(c)
	w.readOnlyRoot(c)
}

func (w *work) escalation(c *container) {
	switch {
	case c.context.escalation == yes:
		w.keep(c, "securityContext.allowPrivilegeEscalation", "lets it gain rights", "set it to false")
	case c.context.escalation == unsaid && !slices.Contains(c.context.capabilities.adds, "CAP_SYS_ADMIN"): // the API server refuses both together
		w.contextOf(c, "allowPrivilegeEscalation", "false", whyEscalation)
	}
}

// ownCapabilities drops all; those that the container adds stay.
func (w *work) ownCapabilities(c *container) {
	has := &c.context.capabilities
	for _, capability := range has.adds {
		if !slices.Contains(w.policy.security.allowed, capability) {
			w.keep(c, "securityContext.capabilities.add", "has "+capability+", which the profile does not allow", "remove it, or have it added to allowedCapabilities")
		}
	}
	switch {
	case has.dropsAll:
	case has.drops:
		w.keep(c, "securityContext.capabilities.drop", "names some capabilities and not ALL", "drop ALL, and add those that it needs")
	case has.there:
		w.of(c, "securityContext/capabilities", false, "drop", `["ALL"]`, whyDrop)
	default:
		w.contextOf(c, "capabilities", `{"drop":["ALL"]}`, whyDrop)
	}
}

// confine gives profiles of the node, which are the application's and not for proxies to inherit.
func (w *work) confine(c *container) {
	d, pod := w.policy.security, &w.pod.context
	if c.context.seccomp == "Unconfined" || c.context.seccomp == "" && pod.seccomp == "Unconfined" {
		w.keep(c, "securityContext.seccompProfile", "is Unconfined", "set its type to RuntimeDefault")
	}
	if d.localSeccomp != "" && c.context.seccomp == "" && pod.seccomp == "" {
		w.contextOf(c, "seccompProfile", d.localSeccomp, whySeccomp)
	}
	if d.appArmor != "" && c.context.appArmor == "" && pod.appArmor == "" && !slices.Contains(w.pod.confined, c.name) {
		w.contextOf(c, "appArmorProfile", d.appArmor, whyConfined)
	}
	switch {
	case d.seLinuxType == "" || c.context.seLinuxType:
	case c.context.seLinux:
		w.of(c, "securityContext/seLinuxOptions", false, "type", d.seLinuxType, whyConfined)
	case !pod.seLinux: // options of a container take the place of the pod's, all of them
		w.contextOf(c, "seLinuxOptions", d.seLinux, whyConfined)
	}
}

func (w *work) readOnlyRoot(c *container) {
	d := w.policy.security
	switch {
	case !d.readOnlyRoot:
		return
	case c.context.readOnlyRoot == no:
		w.keep(c, "securityContext.readOnlyRootFilesystem", "is false", "leave it out, and mount volumes where it writes")
		return
	case c.context.readOnlyRoot == unsaid:
		w.contextOf(c, "readOnlyRootFilesystem", "true", whyReadOnly)
	}
	for _, at := range d.writable {
		if !covered(c, at) {
			w.mount(c, at)
		}
	}
}

// covered tells whether something is mounted at a path, or above it.
func covered(c *container, at string) bool {
	return slices.ContainsFunc(c.mounts, func(m mount) bool {
		on := path.Clean(m.path)
		return on == at || on == "/" || strings.HasPrefix(at, on+"/")
	})
}

// mount mounts an emptyDir of the container's own.
func (w *work) mount(c *container, at string) {
	name := volumeName(c.name, at)
	w.add(Change{
		Op: Append, List: c.list, Index: c.index, Name: c.name, Parent: "volumeMounts", Missing: !c.hasMounts,
		Value: `{"mountPath":` + quoted(at) + `,"name":"` + name + `"}`, Why: whyWritable,
	})
	if !slices.ContainsFunc(w.pod.volumes, func(v volume) bool { return v.name == name }) {
		w.volumes = append(w.volumes, Change{Op: Append, Parent: "volumes", Missing: !w.pod.hasVolumes, Value: `{"emptyDir":{},"name":"` + name + `"}`, Why: whyWritable})
	}
}

// volumeName is the same whenever it is asked for: "palisade-tmp-0a1b2c3d".
func volumeName(container, at string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(container)) // it never fails
	_, _ = sum.Write([]byte{0})
	_, _ = sum.Write([]byte(at))
	text := strconv.FormatUint(uint64(sum.Sum32()), 16)
	return "palisade-" + slug(path.Base(at)) + strings.Repeat("0", 8-len(text)) + text
}

// slug is what of a name may stand in a DNS label, with a hyphen behind; empty where nothing may.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return b.String()[:min(b.Len(), 20)] + "-"
}

// appendVolumes adds the volumes that were mounted.
func (w *work) appendVolumes() { w.changes = append(w.changes, w.volumes...) }
