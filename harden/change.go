package harden

import (
	"strconv"
	"strings"
)

// Op is what a Change does.
type Op int8

// What a change may do.
const (
	// Add sets a field that is not there, or that holds only the API server's default.
	Add Op = iota
	// Append adds an element to an array, which is made where it is not there.
	Append
	// Remove takes away what the API server put there by itself.
	Remove
)

// Change is one field that is given to a pod.
type Change struct {
	Op Op
	// List and Index find the container, the volume or the part of the metadata that is meant:
	// "containers", "initContainers", "volumes" and the index; "metadata"; empty for the spec itself.
	List  string
	Index int
	// Name is that of the container or volume.
	Name string
	// Parent is the object or array that holds the field, with slashes between its parts; empty for what List and Index find.
	Parent string
	// Missing tells that the pod has no Parent.
	Missing bool
	// Field is the field in Parent; empty where an element is appended.
	Field string
	// Value is JSON; empty where something is removed.
	Value string
	// Why says what it is good for, in a few words.
	Why string
}

// Steps is the way to the field from the pod or template: names, and indices as text. Where Op is Append it is the way to the array.
func (c *Change) Steps() []string {
	steps := c.home()
	if c.Parent != "" {
		steps = append(steps, strings.Split(c.Parent, "/")...)
	}
	if c.Field != "" {
		steps = append(steps, c.Field)
	}
	return steps
}

func (c *Change) home() []string {
	switch c.List {
	case "":
		return []string{"spec"}
	case "metadata":
		return []string{"metadata"}
	default:
		return []string{"spec", c.List, strconv.Itoa(c.Index)}
	}
}

// Path is how a person reads where it is: "spec.containers[app].securityContext.runAsNonRoot".
func (c *Change) Path() string { return string(c.appendPath(nil)) }

func (c *Change) appendPath(b []byte) []byte {
	switch c.List {
	case "":
		b = append(b, "spec"...)
	case "metadata":
		b = append(b, "metadata"...)
	default:
		b = append(b, "spec."...)
		b = append(b, c.List...)
		b = append(b, '[')
		b = append(b, c.Name...)
		b = append(b, ']')
	}
	for part := range strings.SplitSeq(c.Parent, "/") {
		if part != "" {
			b = append(append(b, '.'), part...)
		}
	}
	if c.Field != "" {
		b = append(append(b, '.'), c.Field...)
	}
	return b
}

// Kept is something weak that a pod says by itself, and that stays.
type Kept struct {
	// Container is empty for the pod.
	Container string
	// Field is the path: "spec.containers[app].securityContext.privileged".
	Field string
	// Says is what it says and comes to; Fix what its owner may do.
	Says, Fix string
}

// String is for a person who may change the pod.
func (k Kept) String() string { return k.Field + " " + k.Says + "; " + k.Fix }

// Result is what a pod is given, and what it keeps.
type Result struct {
	Changes []Change
	Kept    []Kept
}

// Security tells whether a security context is given anything, or what goes with one.
func (r *Result) Security() bool {
	for i := range r.Changes {
		if c := &r.Changes[i]; strings.HasPrefix(c.Parent, "securityContext") || c.Op == Append {
			return true
		}
	}
	return false
}
