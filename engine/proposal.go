package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

// batchSize is how many namespaces are judged at once: some tenths of a second, so
// that whoever waits for a judgement can stop after any of them. The first are fewer, so
// that something is known soon.
const (
	firstBatch = 8
	batchSize  = 40
)

// Proposal is one object of palisade's own kinds that somebody wants to create
// (Old is nil), to change, or to delete (New is nil). Both are pointers to the
// same kind: SecurityProfile, TrafficRule, ExternalAccess or Exemption.
type Proposal struct {
	Old, New any
}

// Proposed is a proposal laid over a snapshot.
type Proposed struct {
	basis *Basis
	// Ref names the object.
	Ref           model.Ref
	before, after *Snapshot
	// home is the namespace of the object, empty for a profile; object is the one that is wanted, or nil.
	home   string
	object any
	// Governed and Governs tell, before and after, which profiles are of the highest priority in each namespace.
	Governed, Governs map[string][]string
	// Batches are the namespaces that the proposal concerns, parted into what is judged at once.
	Batches [][]string
	options Options
}

// Judged is what a proposal does to a batch of namespaces.
type Judged struct {
	// Notices are problems and findings of the proposed object, and those of
	// others that are not there without it; none is of severity info.
	Notices []model.Problem
	// Breaks are connections that are declared or named by a client's manifest,
	// let through without the proposal and not with it.
	Breaks []plan.Impact
	// Closes counts the ports behind Services that fewer clients would reach, where nothing tells of a use.
	Closes int
	// Partial tells that more namespaces are clients here than were looked at.
	Partial bool
}

// Propose lays a proposal over the snapshot of a basis. What a profile that only observes would do is judged as if it enforced.
func (b *Basis) Propose(p Proposal, o Options) *Proposed {
	some := p.New
	if some == nil {
		some = p.Old
	}
	out := &Proposed{basis: b, options: o, object: p.New}
	out.Ref, out.home = refOf(some), refOf(some).Namespace
	out.before, out.after = lay(b.snapshot, out.Ref, p.Old), lay(b.snapshot, out.Ref, p.New)
	if out.Ref.Kind == "SecurityProfile" {
		out.Governed, out.Governs = intent.Governing(out.before, b.cluster), intent.Governing(out.after, b.cluster)
		out.after = enforcing(out.after, out.Ref.Name)
		out.Batches = batches(out.turned())
		return out
	}
	out.before, out.after = enforcing(out.before, ""), enforcing(out.after, "")
	peers := map[string]bool{}
	for _, object := range []any{p.Old, p.New} {
		if r, ok := object.(*v1alpha1.TrafficRule); ok && r != nil {
			b.peersOf(r, func(namespaces []string) {
				for _, n := range namespaces {
					peers[n] = true
				}
			})
		}
	}
	delete(peers, out.home)
	for _, batch := range batches(slices.Sorted(maps.Keys(peers))) {
		out.Batches = append(out.Batches, append([]string{out.home}, batch...))
	}
	if len(out.Batches) == 0 {
		out.Batches = [][]string{{out.home}}
	}
	return out
}

// batches parts namespaces into what is judged at once.
func batches(names []string) [][]string {
	if len(names) <= firstBatch {
		return slices.Collect(slices.Chunk(names, firstBatch))
	}
	return append([][]string{names[:firstBatch]}, slices.Collect(slices.Chunk(names[firstBatch:], batchSize))...)
}

// turned are the namespaces that a profile governs or ties for, before or after, and those that its coming and going changes.
func (p *Proposed) turned() []string {
	var names []string
	for i := range p.basis.snapshot.Namespaces {
		name := p.basis.snapshot.Namespaces[i].Name
		was, is := p.Governed[name], p.Governs[name]
		if slices.Contains(was, p.Ref.Name) || slices.Contains(is, p.Ref.Name) || !slices.Equal(was, is) {
			names = append(names, name)
		}
	}
	return names
}

// IsSystem tells whether a namespace is governed only where a profile names it.
func (p *Proposed) IsSystem(namespace string) bool {
	return intent.IsSystem(p.basis.snapshot, p.basis.cluster, namespace)
}

// Notice looks for problems and findings of the intent in a batch, which takes milliseconds.
func (p *Proposed) Notice(batch []string) []model.Problem {
	near, _ := p.basis.around(batch)
	resolve := func(s *Snapshot) intent.Result {
		dialect := mesh.New(p.basis.cluster.Mesh, p.basis.cluster.Domain)
		return intent.Resolve(p.basis.narrow(s, near), p.basis.cluster, dialect, p.options.Now)
	}
	was, is := resolve(p.before), resolve(p.after)
	return p.fresh(noticesOf(was.Problems, was.Findings), noticesOf(is.Problems, is.Findings), is.Model)
}

// Judge takes a batch through all stages, with and without the proposal.
func (p *Proposed) Judge(batch []string) Judged {
	near, partial := p.basis.around(batch)
	was := run(p.basis.narrow(p.before, near), p.basis.cluster, nil, p.options)
	is := run(p.basis.narrow(p.after, near), p.basis.cluster, nil, p.options)
	out := Judged{Partial: partial, Notices: p.fresh(noticesOf(was.Problems, was.Findings), noticesOf(is.Problems, is.Findings), is.Model)}

	m := peers(is.Model, Workloads)
	before, after, _ := States(m, was.Plan.After(m.Existing, false), is.Plan.After(m.Existing, false))
	for _, i := range plan.Impacts(m, before, after) {
		at := slices.Contains(batch, i.Server.Workload.ID.Namespace)
		switch {
		case i.Basis == plan.Possible && at:
			out.Closes++
		case i.Basis != plan.Possible && (at || slices.ContainsFunc(i.Clients.Workloads, func(id string) bool { return slices.Contains(batch, namespaceOfID(id)) })):
			out.Breaks = append(out.Breaks, i)
		}
	}
	return out
}

// fresh are the notices of the object itself, and those of others that are new.
// What a narrowed view cannot tell of other profiles is left out.
func (p *Proposed) fresh(before, after []model.Problem, m *model.Model) []model.Problem {
	notices := slices.DeleteFunc(after, func(n model.Problem) bool {
		if n.Subject == p.Ref {
			return false
		}
		return n.Code == "ProfileGovernsNothing" || slices.Contains(before, n)
	})
	for _, n := range p.undeclared(m) {
		if !slices.ContainsFunc(notices, func(o model.Problem) bool { return o.Subject == n.Subject && o.Field == n.Field }) {
			notices = append(notices, n) // that it is a Service's port says more
		}
	}
	return notices
}

// undeclared are the ports by number that none of the workloads declares which
// the proposed object chooses, though all of them declare some. Nothing demands that a
// container declare its ports, so this is no finding, and worth a look when the number is written.
func (p *Proposed) undeclared(m *model.Model) []model.Problem {
	var selector *metav1.LabelSelector
	var ports []v1alpha1.RulePort
	switch o := p.object.(type) {
	case *v1alpha1.TrafficRule:
		selector, ports = &o.Spec.To, o.Spec.Ports
	case *v1alpha1.Exemption:
		selector, ports = &o.Spec.Workloads, o.Spec.Ports
	default:
		return nil
	}
	var declared []model.NamedPort
	workloads := m.WorkloadsIn(p.home)
	for i := range workloads {
		if w := &workloads[i]; model.Matches(selector, w.Labels) {
			own := w.ContainerPorts()
			if len(own) == 0 {
				return nil
			}
			declared = append(declared, own...)
		}
	}
	var notices []model.Problem
	for i := range ports {
		port := &ports[i]
		if port.Port.Type != intstr.Int || len(declared) == 0 {
			continue
		}
		last := port.Port.IntVal
		if port.EndPort != nil {
			last = max(last, *port.EndPort)
		}
		protocol := model.ProtocolOr(port.Protocol)
		if !slices.ContainsFunc(declared, func(d model.NamedPort) bool {
			return d.Protocol == protocol && port.Port.IntVal <= d.Number && d.Number <= last
		}) {
			notices = append(notices, model.Problem{
				Code: "PortUndeclared", Severity: model.Warning, Subject: p.Ref, Field: fmt.Sprintf("spec.ports[%d].port", i),
				Message: fmt.Sprintf("no container of these workloads declares port %d/%s; %s declares %s", port.Port.IntVal, protocol, workloadsOf(workloads, selector), declared[0]),
				Fix:     "correct the number, unless they listen there without declaring it",
			})
		}
	}
	return notices
}

// workloadsOf names the first that a selector matches.
func workloadsOf(workloads []model.Workload, selector *metav1.LabelSelector) string {
	for i := range workloads {
		if model.Matches(selector, workloads[i].Labels) {
			return workloads[i].ID.String()
		}
	}
	return ""
}

func noticesOf(problems []model.Problem, findings []model.Finding) []model.Problem {
	all := slices.Clone(problems)
	for _, f := range findings {
		all = append(all, model.Problem{Code: f.Code, Severity: f.Severity, Subject: f.Subject, Field: f.Field, Message: f.Message, Fix: f.Fix})
	}
	all = slices.DeleteFunc(all, func(n model.Problem) bool { return n.Severity == model.Info })
	return unique(all, model.CompareProblems)
}

// namespaceOfID is the namespace in "namespace/Kind/name".
func namespaceOfID(id string) string {
	namespace, _, _ := strings.Cut(id, "/")
	return namespace
}

// refOf names an object of palisade's own kinds.
func refOf(object any) model.Ref {
	ref := model.Ref{APIVersion: v1alpha1.GroupVersion.String()}
	var meta *metav1.ObjectMeta
	switch o := object.(type) {
	case *v1alpha1.SecurityProfile:
		ref.Kind, meta = "SecurityProfile", &o.ObjectMeta
	case *v1alpha1.TrafficRule:
		ref.Kind, meta = "TrafficRule", &o.ObjectMeta
	case *v1alpha1.ExternalAccess:
		ref.Kind, meta = "ExternalAccess", &o.ObjectMeta
	case *v1alpha1.Exemption:
		ref.Kind, meta = "Exemption", &o.ObjectMeta
	default:
		return model.Ref{}
	}
	ref.Namespace, ref.Name = meta.Namespace, meta.Name
	return ref
}

// lay is a snapshot with an object in the place of the one of that name; nil takes it out. The snapshot stays as it was.
func lay(s *Snapshot, ref model.Ref, object any) *Snapshot {
	with := *s
	switch ref.Kind {
	case "SecurityProfile":
		with.Profiles = replaced(s.Profiles, ref, object, func(o *v1alpha1.SecurityProfile) *metav1.ObjectMeta { return &o.ObjectMeta })
	case "TrafficRule":
		with.Rules = replaced(s.Rules, ref, object, func(o *v1alpha1.TrafficRule) *metav1.ObjectMeta { return &o.ObjectMeta })
	case "ExternalAccess":
		with.ExternalAccess = replaced(s.ExternalAccess, ref, object, func(o *v1alpha1.ExternalAccess) *metav1.ObjectMeta { return &o.ObjectMeta })
	case "Exemption":
		with.Exemptions = replaced(s.Exemptions, ref, object, func(o *v1alpha1.Exemption) *metav1.ObjectMeta { return &o.ObjectMeta })
	}
	return &with
}

func replaced[T any](list []T, ref model.Ref, object any, meta func(*T) *metav1.ObjectMeta) []T {
	out := make([]T, 0, len(list)+1)
	put, _ := object.(*T)
	for i := range list {
		m := meta(&list[i])
		if m.Namespace == ref.Namespace && m.Name == ref.Name {
			continue
		}
		if put != nil && (m.Namespace > ref.Namespace || m.Namespace == ref.Namespace && m.Name > ref.Name) {
			out, put = append(out, *put), nil
		}
		out = append(out, list[i])
	}
	if put != nil {
		out = append(out, *put)
	}
	return out
}

// enforcing is a snapshot in which one profile enforces, or all where no name is given.
func enforcing(s *Snapshot, name string) *Snapshot {
	with := *s
	with.Profiles = slices.Clone(s.Profiles)
	for i := range with.Profiles {
		if name == "" || with.Profiles[i].Name == name {
			with.Profiles[i].Spec.Enforcement = v1alpha1.EnforcementEnforce
		}
	}
	return &with
}
