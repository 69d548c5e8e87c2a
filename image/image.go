// Package image judges container images by their configuration, before a hardened
// pod runs them: whether they run as root, where they write, whether their tag may
// move, whether their registry is allowed. It is pure; package image/source reads
// images.
//
// A configuration tells much and not all: where nothing is found, the image may
// still write where a read-only root file system refuses it.
package image

import "floe.dev/palisade/model"

// Facts are what was read of one image of one platform.
type Facts struct {
	// Name is what the user gave.
	Name string `json:"name"`
	// Reference is the name under which a node would pull it; empty where the archive does not tell.
	Reference string `json:"reference,omitempty"`
	// Digest is the manifest's, or of archives of Docker the configuration's.
	Digest string `json:"digest,omitempty"`
	// Platform is "os/architecture" with a variant where there is one.
	Platform string `json:"platform"`
	Config   Config `json:"config"`
}

// Config is what counts of the configuration (OCI image specification, config.md).
type Config struct {
	// User is "user[:group]", each a name or a number; empty is root.
	User       string   `json:"user"`
	WorkingDir string   `json:"workingDir,omitempty"`
	Env        []string `json:"-"` // it may hold secrets
	Entrypoint []string `json:"-"`
	Cmd        []string `json:"-"`
	// Volumes are absolute paths.
	Volumes []string `json:"volumes,omitempty"`
	// Ports are such as "8080/tcp".
	Ports []string `json:"ports,omitempty"`
	// History are the commands of the build, the first first.
	History []string `json:"-"`
}

// Policy is what is asked of images.
type Policy struct {
	// Allowed are registries, with or without a path below which images may be: "registry.example.com", "ghcr.io/example". Empty allows all.
	Allowed []string
}

// Fault is what is wrong with an image.
type Fault struct {
	// Code is one CamelCase word, stable across releases; docs/images.md has a section for each.
	Code     string         `json:"code"`
	Severity model.Severity `json:"severity"`
	// Message says what was found.
	Message string `json:"message"`
	// Why and Fix are those of the code.
	Why string `json:"why"`
	Fix string `json:"fix"`
}

// Place is where an image writes, as far as its configuration tells.
type Place struct {
	Path string `json:"path"`
	// Why is what tells so: "volume", or the variable or argument that names it.
	Why string `json:"why"`
}

// Result is what an image came to.
type Result struct {
	Facts
	// Incomplete tells that something asked for could not be judged.
	Incomplete bool    `json:"incomplete,omitempty"`
	Faults     []Fault `json:"faults"`
	// Writes are the places for which a pod with a read-only root file system needs a volume.
	Writes []Place `json:"writes"`
}

// Kind is what a code stands for.
type Kind struct {
	Code string
	// Severities are those that it comes in.
	Severities []model.Severity
	Why, Fix   string
}

// Kinds are all codes, sorted.
func Kinds() []Kind {
	return []Kind{
		{"BuiltForItsUser", []model.Severity{model.Info}, "What a build gives to the user of the image is often written to, and a read-only root file system refuses that.", "look whether it is written to, and mount a volume there if so; an emptyDir hides what the image has there"},
		{"LowPort", []model.Severity{model.Info}, "Without NET_BIND_SERVICE a port below 1024 is open to others than root only where the runtime lowers net.ipv4.ip_unprivileged_port_start (containerd's enable_unprivileged_ports).", "listen on a port from 1024 on; a Service may keep the low one"},
		{"MovingTag", []model.Severity{model.Warning}, "The tag stands for another image tomorrow: two pods of one Deployment may run two, and what was scanned is not what runs.", "name a version that is never pushed again, and the digest (@sha256:…); until then pull with imagePullPolicy: Always"},
		{"NotLinux", []model.Severity{model.Warning}, "Pod Security and securityContext of Linux say nothing of it.", "judge it by other means"},
		{"RegistryNotAllowed", []model.Severity{model.Error}, "Nobody here answers for what is in that registry.", "mirror the image into a registry that is allowed, or allow this one"},
		{"RegistryUnknown", []model.Severity{model.Error}, "An archive without a name does not tell from where nodes will pull the image.", "say it with --name"},
		{"RunsAsRoot", []model.Severity{model.Error}, "With runAsNonRoot the kubelet refuses to start it; without, a way out of the container is one as root.", "set USER to a number other than 0 in the Dockerfile, or runAsUser in the pod if the image bears it"},
		{"SecretInEnvironment", []model.Severity{model.Warning}, "Whoever may pull the image reads it, and every process of the container inherits it.", "take it out of the image, change it, and mount it as a file"},
		{"TagNotPinned", []model.Severity{model.Info}, "A tag can be pushed again; a digest cannot.", "add the digest (@sha256:…)"},
		{"UserNotNumeric", []model.Severity{model.Warning}, "With runAsNonRoot the kubelet cannot tell whether a name is root, and refuses to start it.", "write the number in the Dockerfile (USER 65532), or runAsUser in the pod"},
		{"WritesOutsideVolumes", []model.Severity{model.Warning}, "With a read-only root file system it fails there, mostly not at once.", "mount an emptyDir, or a volume that stays, at each of these places"},
	}
}
