// Package falco understands the events of Falco (falco.org): it reads the JSON that
// Falco and falcosidekick send, tells which promise of palisade an event speaks of,
// and keeps, within bounds, what stands for each namespace. It is pure; package
// falco/receiver takes events in over HTTP.
//
// An event is evidence and no proof: whoever may send one can make one up, and what
// Falco does not see is not there.
package falco

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/json"

	"floe.dev/palisade/model"
)

// Event is what Falco saw.
type Event struct {
	// Rule is the name of the rule that fired.
	Rule     string
	Priority Priority
	Time     time.Time
	// Host is the node.
	Host string
	// Namespace, Pod and Container are where it was; empty where Falco did not know yet, or outside of pods.
	Namespace, Pod, Container string
	// Output is the line for people.
	Output string
	Tags   []string
}

// Priority is Falco's word for gravity, in capitals.
type Priority string

// severities are what priorities mean to palisade.
var severities = map[Priority]model.Severity{
	"EMERGENCY": model.Error, "ALERT": model.Error, "CRITICAL": model.Error, "ERROR": model.Error,
	"WARNING": model.Warning, "NOTICE": model.Info, "INFORMATIONAL": model.Info, "INFO": model.Info, "DEBUG": model.Info,
}

// Severity is what the priority means to palisade. An unknown one is gravest.
func (p Priority) Severity() model.Severity {
	if s, known := severities[p]; known {
		return s
	}
	return model.Error
}

// The bounds of an event, in bytes of UTF-8; Falco cuts its own fields far below.
const (
	longestRule   = 256
	longestOutput = 4096
	longestName   = 253
	mostTags      = 32
)

// clockSkew is how far ahead of the receiver's clock an event may be.
const clockSkew = 5 * time.Minute

// message is the JSON of Falco (falcosecurity/falco, userspace/engine/formats.cpp), which falcosidekick hands on with more fields.
type message struct {
	Output       string         `json:"output"`
	Priority     string         `json:"priority"`
	Rule         string         `json:"rule"`
	Time         string         `json:"time"`
	Hostname     string         `json:"hostname"`
	Tags         []string       `json:"tags"`
	OutputFields map[string]any `json:"output_fields"`
}

// Read reads one event. It is an error where it lacks a rule, a known priority or a
// time, or has a time that is yet to come. Texts are cut to their bounds and rid of
// control characters; names that no object of Kubernetes can have are left out.
func Read(data []byte, now time.Time) (Event, error) {
	var m message
	if err := json.UnmarshalCaseSensitivePreserveInts(data, &m); err != nil {
		return Event{}, fmt.Errorf("reading an event of Falco: %w", err)
	}
	e := Event{
		Rule: bounded(m.Rule, longestRule), Priority: Priority(strings.ToUpper(m.Priority)), Host: bounded(m.Hostname, longestName),
		Output: bounded(m.Output, longestOutput), Namespace: m.label("k8s.ns.name", "k8smeta.ns.name"), Pod: m.subdomain("k8s.pod.name", "k8smeta.pod.name"),
		Container: m.label("container.name"),
	}
	at, err := time.Parse(time.RFC3339Nano, m.Time)
	switch {
	case e.Rule == "":
		return Event{}, errors.New("reading an event of Falco: it names no rule")
	case severities[e.Priority] == "":
		return Event{}, fmt.Errorf("reading an event of Falco: the priority %q is not one", bounded(m.Priority, longestName))
	case err != nil:
		return Event{}, fmt.Errorf("reading an event of Falco: its time: %w", err)
	case at.Sub(now) > clockSkew:
		return Event{}, fmt.Errorf("reading an event of Falco: its time, %s, is yet to come", at.UTC().Format(time.RFC3339))
	}
	e.Time = at
	for _, tag := range m.Tags {
		if len(e.Tags) == mostTags {
			break
		}
		e.Tags = append(e.Tags, bounded(tag, longestName))
	}
	return e, nil
}

// field is the first of the fields that has a text.
func (m *message) field(names ...string) string {
	for _, name := range names {
		if text, is := m.OutputFields[name].(string); is && text != "" && text != "<NA>" {
			return text
		}
	}
	return ""
}

func (m *message) label(names ...string) string {
	text := m.field(names...)
	if len(validation.IsDNS1123Label(text)) > 0 {
		return ""
	}
	return text
}

func (m *message) subdomain(names ...string) string {
	text := m.field(names...)
	if len(validation.IsDNS1123Subdomain(text)) > 0 {
		return ""
	}
	return text
}

// bounded cuts a text, and puts spaces in the place of what would command a terminal.
func bounded(text string, longest int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	if len(text) > longest {
		cut := longest
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	return strings.TrimSpace(text)
}

// Promise is what a rule of palisade watches over.
type Promise struct {
	// Rule is its name in deploy/falco/palisade_rules.yaml.
	Rule string
	// Requirements are those of requirements that it speaks of.
	Requirements []string
	// Broken says what an event means.
	Broken string
	Fix    string
}

// Promises are the rules of palisade, sorted by name.
func Promises() []Promise {
	return []Promise{
		{"Palisade Capability Held", []string{"REQ-451"}, "a process holds a capability by which containers are left", "look why the pod was admitted with it: an Exemption, a namespace that does not enforce, or a program that gained it"},
		{"Palisade Connection Past the Proxy", []string{"REQ-446"}, "a port took a connection that did not come by the mesh, mostly plaintext", "look at ports that are left out of redirection (finding MeshBypass), then verify the port with palisade verify"},
		{"Palisade Metadata Address Contacted", []string{"REQ-463"}, "a process turned to the cloud's metadata service", "see that no rule for egress opens it (finding MetadataOpen), and look at the process"},
		{"Palisade Packet Filter Changed", []string{"REQ-444", "REQ-446"}, "a program that changes packet filters was started in a pod", "take the pod out of service and look at it: the mesh's redirection may be undone"},
		{"Palisade Process as Root", []string{"REQ-450"}, "a process runs as root", "set runAsNonRoot; where it is set already, the process gained the right: take the pod out of service"},
		{"Palisade Proxy User Misused", []string{"REQ-445", "REQ-446"}, "a process leaves the pod as the user of the proxy, past the mesh", "let no container but the proxy run as 1337 or 2102 (finding MeshBypass)"},
		{"Palisade Root File System Written", []string{"REQ-449"}, "a root file system was written to, and let it", "set readOnlyRootFilesystem, and volumes where the image writes"},
		{"Palisade Service Account Token Read", []string{"REQ-465"}, "a process read the token of its service account", "mount no token that is not needed; else add the program to palisade_token_readers"},
		{"Palisade Set User Id Bit", []string{"REQ-448"}, "a file was given the set-user-id bit or a capability", "take the pod out of service and look at it; allowPrivilegeEscalation: false keeps such a file from working"},
		{"Palisade Shell in Hardened Pod", []string{"REQ-448"}, "a shell was started", "look who started it; an image without a shell cannot"},
		{"Palisade Write Refused", []string{"REQ-449"}, "a file was to be written on a read-only file system", "mount an emptyDir there, if the program is right"},
	}
}

// PromiseOf is the promise that a rule watches over; ok is false for rules of others.
func PromiseOf(rule string) (p Promise, ok bool) {
	all := Promises()
	i, found := slices.BinarySearchFunc(all, rule, func(p Promise, rule string) int { return cmp.Compare(p.Rule, rule) })
	if !found {
		return Promise{}, false
	}
	return all[i], true
}
