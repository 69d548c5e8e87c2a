package harden

// The words of why.
const (
	whyUser       = "runs as nobody in particular, and not as root"
	whySeccomp    = "the runtime's system call filter"
	whyEscalation = "gains no rights beyond those it starts with"
	whyDrop       = "has no capabilities"
	whyReadOnly   = "its image cannot be changed at run time"
	whyWritable   = "may be written though the root file system may not"
	whyConfined   = "mandatory access control of the node"
)

// user gives the user, the group and the demand not to be root. The pod says them for
// all, unless that would change a container that it must not: one of a mesh, or one that says that it is root.
// Then each container is told by itself.
func (w *work) user() {
	d, pod := w.policy.security, &w.pod.context
	if !w.pod.windows {
		w.groups()
	}
	if d.nonRoot && pod.nonRoot == unsaid && !pod.user.is(0) {
		w.own.nonRoot = w.share("runAsNonRoot", "true", w.lacksNonRoot, func(c *container) bool { return c.context.nonRoot == unsaid && w.root(c) })
	}
	if !w.pod.windows && d.user != "" && !pod.user.there && pod.nonRoot != no {
		w.own.user = w.share("runAsUser", d.user, w.lacksUser, func(c *container) bool { return !c.context.user.there && (c.mesh || w.root(c)) })
	}
}

// groups gives the group of the processes, and that of the volumes.
func (w *work) groups() {
	d, pod := w.policy.security, &w.pod.context
	if d.fsGroup != "" && !pod.fsGroup.there {
		w.context("fsGroup", d.fsGroup, "volumes belong to a group that the pod is in")
		w.fsGroup = true
	}
	if d.group != "" && !pod.group.there {
		w.own.group = w.share("runAsGroup", d.group, w.lacksGroup, func(c *container) bool { return !c.context.group.there && (c.mesh || w.root(c)) })
	}
}

// share gives a field to the pod, if some container lacks it, and tells whether each is to be given its own instead.
func (w *work) share(field, value string, lacks, harmed func(*container) bool) (own bool) {
	some := false
	for i := range w.pod.containers {
		c := &w.pod.containers[i]
		if harmed(c) {
			own = true
		}
		some = some || !c.mesh && lacks(c)
	}
	if !some || own {
		return own
	}
	w.context(field, value, whyUser)
	return false
}

// root tells whether a container is, or may be, root because it or the pod says so: a privileged one is there to use it.
func (w *work) root(c *container) bool {
	nonRoot, user := c.context.nonRoot, c.context.user
	if nonRoot == unsaid {
		nonRoot = w.pod.context.nonRoot
	}
	if !user.there {
		user = w.pod.context.user
	}
	return user.is(0) || !user.there && (nonRoot == no || c.context.privileged == yes)
}

func (w *work) lacksGroup(c *container) bool { return !c.context.group.there && !w.root(c) }
func (w *work) lacksNonRoot(c *container) bool {
	return c.context.nonRoot == unsaid && !w.root(c)
}
func (w *work) lacksUser(c *container) bool { return !c.context.user.there && !w.root(c) }

// ownUser gives a container what the pod could not say for all.
func (w *work) ownUser(c *container) {
	d := w.policy.security
	if w.own.nonRoot && w.lacksNonRoot(c) {
		w.contextOf(c, "runAsNonRoot", "true", whyUser)
	}
	if w.own.user && w.lacksUser(c) {
		w.contextOf(c, "runAsUser", d.user, whyUser)
	}
	if w.own.group && w.lacksGroup(c) {
		w.contextOf(c, "runAsGroup", d.group, whyUser)
	}
}

// tellRoot tells the owner of a container that may be root.
func (w *work) tellRoot(c *container) {
	const fix = "give the image a user and leave the field out, or have an Exemption of the layer PodSecurity"
	pod := &w.pod.context
	switch {
	case !w.policy.security.nonRoot:
	case c.context.user.is(0):
		w.keep(c, "securityContext.runAsUser", "is 0, which is root", fix)
	case c.context.nonRoot == no:
		w.keep(c, "securityContext.runAsNonRoot", "lets it be root", fix)
	case pod.user.is(0) && !c.context.user.there:
		w.keepOnce("securityContext.runAsUser", "is 0, which is root", fix)
	case pod.nonRoot == no && c.context.nonRoot == unsaid:
		w.keepOnce("securityContext.runAsNonRoot", "lets containers be root", fix)
	}
}

// keepOnce tells of what the pod says for all of its containers.
func (w *work) keepOnce(field, says, fix string) {
	for i := range w.kept {
		if w.kept[i].Container == "" && w.kept[i].Field == "spec."+field {
			return
		}
	}
	w.keep(nil, field, says, fix)
}

// podProfiles gives what holds for the whole pod: seccomp, and the type of SELinux where the pod has options of its own.
func (w *work) podProfiles() {
	d, pod := w.policy.security, w.pod
	if pod.windows {
		return
	}
	if pod.context.seccomp == "" {
		// A profile of the node's is for the application: proxies, which inherit what the pod says, get the runtime's.
		w.context("seccompProfile", d.seccomp, whySeccomp)
	}
	if d.seLinuxType != "" && pod.context.seLinux && !pod.context.seLinuxType {
		w.add(Change{Parent: "securityContext/seLinuxOptions", Field: "type", Value: d.seLinuxType, Why: whyConfined})
	}
}
