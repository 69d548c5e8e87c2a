package harden

import (
	"errors"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// RecordAnnotation tells on a pod what was given to it at admission, and by which profile.
const RecordAnnotation = "palisade.floe.dev/hardened"

// ErrNotJSON tells that a pod could not be read.
var ErrNotJSON = errors.New("the pod is not JSON")

// said is what a boolean field says.
type said int8

const (
	unsaid said = iota
	no
	yes
)

// number is a whole number that may not be there.
type number struct {
	there bool
	value int64
}

func (n number) is(value int64) bool { return n.there && n.value == value }

// Pod is what of a pod, or of a template, counts for its defaults. It shares the text that it was read of.
type Pod struct {
	// Owner is the kind of the controller that the pod belongs to, or of the object that the template is in; "Pod" or empty for none.
	Owner string
	// Admitted tells that an API server has filled in its defaults, so that a field that holds one may not have been said.
	Admitted bool

	labels []label
	// annotations tells that there are some; record is that of RecordAnnotation.
	metadata, annotations bool
	record                string
	mirror                bool
	// confined are the containers that an AppArmor annotation names.
	confined []string

	context     securityContext
	hostNetwork bool
	windows     bool
	token       said
	priority    struct{ class, value, preemption bool }
	dnsPolicy   string
	dnsConfig   bool
	spread      bool
	affinity    struct{ there, antiAffinity bool }
	resources   bool
	hasVolumes  bool
	volumes     []volume
	containers  []container
}

type label struct{ key, value string }

type volume struct {
	name   string
	secret bool
	mode   number
	// token tells that it is what the API server mounts for the service account.
	token bool
}

// securityContext is that of a pod or of a container.
type securityContext struct {
	there                                         bool
	privileged, nonRoot, escalation, readOnlyRoot said
	user, group, fsGroup                          number
	seccomp, appArmor                             string
	seLinux, seLinuxType                          bool
	capabilities                                  capabilities
}

type capabilities struct {
	there, drops, dropsAll bool
	adds                   []string
}

type container struct {
	name, image, pullPolicy string
	list                    string
	index                   int
	context                 securityContext
	resources               resources
	hasMounts               bool
	mounts                  []mount
	// mesh tells that it is of a mesh.
	mesh bool
}

type resources struct {
	there            bool
	limits, requests amounts
}

type amounts struct {
	there bool
	list  []amount
}

type amount struct{ name, quantity string }

func (a amounts) of(name string) (string, bool) {
	for i := range a.list {
		if a.list[i].name == name {
			return a.list[i].quantity, true
		}
	}
	return "", false
}

type mount struct {
	volume, path string
	readOnly     said
}

const (
	tokenVolumePrefix = "kube-api-access-"
	tokenPath         = "/var/run/secrets/kubernetes.io/serviceaccount"
	appArmorPrefix    = "container.apparmor.security.beta.kubernetes.io/"
	mirrorAnnotation  = "kubernetes.io/config.mirror"
)

// Read reads a pod, or a template, of its JSON: an object with metadata and spec.
func Read(text string) (*Pod, error) {
	p := &Pod{}
	s := &scanner{text: text}
	p.read(s)
	if s.bad || s.peek() != 0 {
		return nil, ErrNotJSON
	}
	return p, nil
}

func (p *Pod) read(s *scanner) {
	s.object(func(name string) {
		switch name {
		case "metadata":
			p.metadata = s.object(func(name string) { p.readMeta(s, name) })
		case "spec":
			s.object(func(name string) { p.readSpec(s, name) })
		}
	})
}

func (p *Pod) readMeta(s *scanner, name string) {
	switch name {
	case "labels":
		s.object(func(key string) { p.labels = append(p.labels, label{key, s.str()}) })
	case "annotations":
		p.annotations = s.object(func(key string) {
			switch {
			case key == RecordAnnotation:
				p.record = s.str()
			case key == mirrorAnnotation:
				p.mirror = true
			case strings.HasPrefix(key, appArmorPrefix):
				p.confined = append(p.confined, key[len(appArmorPrefix):])
			}
		})
	case "ownerReferences":
		s.array(func(int) { p.readOwner(s) })
	}
}

func (p *Pod) readOwner(s *scanner) {
	kind, controls := "", unsaid
	s.object(func(name string) {
		switch name {
		case "kind":
			kind = s.str()
		case "controller":
			controls = s.boolean()
		}
	})
	if controls == yes {
		p.Owner = kind
	}
}

func (p *Pod) readSpec(s *scanner, name string) {
	switch name {
	case "securityContext":
		p.context.read(s)
	case "containers", "initContainers":
		s.array(func(i int) { p.readContainer(s, name, i) })
	case "volumes":
		p.hasVolumes = s.array(func(int) { p.readVolume(s) })
	case "hostNetwork":
		p.hostNetwork = s.boolean() == yes
	case "automountServiceAccountToken":
		p.token = s.boolean()
	case "os":
		s.object(func(name string) {
			if name == "name" {
				p.windows = s.str() == "windows"
			}
		})
	default:
		p.readPlacement(s, name)
	}
}

// readPlacement reads where and how the pod is to run.
func (p *Pod) readPlacement(s *scanner, name string) {
	switch name {
	case "priorityClassName":
		p.priority.class = s.str() != ""
	case "priority":
		p.priority.value = s.there()
	case "preemptionPolicy":
		p.priority.preemption = s.there()
	case "dnsPolicy":
		p.dnsPolicy = s.str()
	case "dnsConfig":
		p.dnsConfig = s.there()
	case "topologySpreadConstraints":
		p.spread = s.there()
	case "affinity":
		p.affinity.there = s.object(func(name string) {
			if name == "podAntiAffinity" {
				p.affinity.antiAffinity = s.there()
			}
		})
	case "resources":
		p.resources = s.there()
	}
}

func (p *Pod) readVolume(s *scanner) {
	var v volume
	projected := false
	s.object(func(name string) {
		switch name {
		case "name":
			v.name = s.str()
		case "secret":
			v.secret = s.object(func(name string) {
				if name == "defaultMode" {
					v.mode = s.number()
				}
			})
		case "projected":
			projected = s.there()
		}
	})
	v.token = projected && strings.HasPrefix(v.name, tokenVolumePrefix)
	p.volumes = append(p.volumes, v)
}

func (p *Pod) readContainer(s *scanner, list string, i int) {
	p.containers = append(p.containers, container{list: list, index: i})
	c := &p.containers[len(p.containers)-1]
	s.object(func(name string) {
		switch name {
		case "name":
			c.name = s.str()
		case "image":
			c.image = s.str()
		case "imagePullPolicy":
			c.pullPolicy = s.str()
		case "securityContext":
			c.context.read(s)
		case "resources":
			c.resources.read(s)
		case "volumeMounts":
			c.hasMounts = s.array(func(int) { c.mounts = append(c.mounts, readMount(s)) })
		}
	})
	c.mesh = ofMesh(c)
}

func readMount(s *scanner) mount {
	var m mount
	s.object(func(name string) {
		switch name {
		case "name":
			m.volume = s.str()
		case "mountPath":
			m.path = s.str()
		case "readOnly":
			m.readOnly = s.boolean()
		}
	})
	return m
}

func (r *resources) read(s *scanner) {
	r.there = s.object(func(name string) {
		switch name {
		case "limits":
			r.limits.read(s)
		case "requests":
			r.requests.read(s)
		}
	})
}

// read takes quantities as text, quoted or not.
func (a *amounts) read(s *scanner) {
	a.there = s.object(func(name string) {
		quantity := ""
		if s.peek() == '"' {
			quantity = s.str()
		} else {
			quantity = s.raw()
		}
		a.list = append(a.list, amount{name, quantity})
	})
}

func (c *securityContext) read(s *scanner) {
	c.there = s.object(func(name string) {
		switch name {
		case "privileged":
			c.privileged = s.boolean()
		case "runAsNonRoot":
			c.nonRoot = s.boolean()
		case "allowPrivilegeEscalation":
			c.escalation = s.boolean()
		case "readOnlyRootFilesystem":
			c.readOnlyRoot = s.boolean()
		case "runAsUser":
			c.user = s.number()
		case "runAsGroup":
			c.group = s.number()
		case "fsGroup":
			c.fsGroup = s.number()
		default:
			c.readProfiles(s, name)
		}
	})
}

func (c *securityContext) readProfiles(s *scanner, name string) {
	switch name {
	case "seccompProfile":
		c.seccomp = typeOf(s)
	case "appArmorProfile":
		c.appArmor = typeOf(s)
	case "seLinuxOptions":
		c.seLinux = s.object(func(name string) {
			if name == "type" {
				c.seLinuxType = s.str() != ""
			}
		})
	case "capabilities":
		c.capabilities.read(s)
	}
}

func typeOf(s *scanner) (value string) {
	s.object(func(name string) {
		if name == "type" {
			value = s.str()
		}
	})
	return value
}

func (c *capabilities) read(s *scanner) {
	c.there = s.object(func(name string) {
		switch name {
		case "add":
			s.array(func(int) { c.adds = append(c.adds, s.str()) })
		case "drop":
			c.drops = s.array(func(int) { c.dropsAll = s.str() == "ALL" || c.dropsAll })
		}
	})
}

// stable are the labels that all replicas share, in order.
func (p *Pod) stable() []label {
	kept := slices.Clone(p.labels)
	kept = slices.DeleteFunc(kept, func(l label) bool { return model.LateLabel(l.key) })
	slices.SortFunc(kept, func(a, b label) int { return strings.Compare(a.key, b.key) })
	return kept
}

// Labels are those of the pod.
func (p *Pod) Labels() map[string]string {
	labels := make(map[string]string, len(p.labels))
	for _, l := range p.labels {
		labels[l.key] = l.value
	}
	return labels
}
