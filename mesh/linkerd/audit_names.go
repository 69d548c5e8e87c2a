package linkerd

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// identitiesOf reports names in a MeshTLSAuthentication that nobody bears.
func (a *auditor) identitiesOf(o *model.Object) {
	var spec struct {
		Identities   []string    `json:"identities"`
		IdentityRefs []reference `json:"identityRefs"`
	}
	if readSpec(o, &spec, noFault) != nil {
		return
	}
	ref := o.Ref()
	a.identityTexts(ref, "spec.identities", spec.Identities)
	for i := range spec.IdentityRefs {
		t, field := &spec.IdentityRefs[i], fmt.Sprintf("spec.identityRefs[%d]", i)
		switch {
		case t.is(coreGroup, "ServiceAccount"):
			a.nobody(ref, field, a.unknownAccount(t.in(ref.Namespace), t.Name))
		case t.is(coreGroup, "Namespace") && a.m.Namespace(t.Name) == nil:
			a.nobody(ref, field, unknown{t.Name, "there is no such namespace among those that were read", a.wholeCluster()})
		}
	}
}

// identityTexts judges identities as text: "<account>.<namespace>.serviceaccount.identity.<control
// plane's namespace>.<trust domain>", "*.<suffix>", or "*".
func (a *auditor) identityTexts(ref model.Ref, field string, texts []string) {
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", field, i)
		if text == "*" || strings.HasPrefix(text, "spiffe://") {
			continue
		}
		if why := a.impossible(text); why != "" {
			a.find("TrustDomainMismatch", model.Error, ref, at, fmt.Sprintf("no identity of the mesh matches %s: %s, so it lets in nobody by that name", text, why),
				"write it as <service account>.<namespace>.serviceaccount.identity.<namespace of the control plane>.<trust domain>")
			continue
		}
		head, _, full := strings.Cut(text, identityMiddle)
		if !full || strings.HasPrefix(text, "*.") {
			continue
		}
		if account, namespace, ok := strings.Cut(head, "."); ok {
			a.nobody(ref, at, a.unknownAccount(namespace, account))
		}
	}
}

const identityMiddle = ".serviceaccount.identity."

// impossible says why no workload of the mesh bears a name, or is empty.
func (a *auditor) impossible(text string) string {
	rest, wild := strings.CutPrefix(text, "*.")
	if strings.Contains(rest, "*") {
		return "a wildcard stands for the first parts of a name only (*.suffix)"
	}
	mesh := &a.m.Cluster.Mesh
	head, tail, full := strings.Cut("."+rest, identityMiddle)
	switch {
	case !full && !wild:
		return "it is not of the form of Linkerd's identities"
	case full && !wild && strings.Count(head, ".") != 2:
		return "before serviceaccount there have to be a service account and a namespace"
	case mesh.Namespace == "" || mesh.TrustDomain == "", a.linked():
		return ""
	}
	own := mesh.Namespace + "." + mesh.TrustDomain
	switch whole := identityMiddle + own; {
	case full && tail != own:
		return fmt.Sprintf("identities of this mesh end with %s", strings.TrimPrefix(whole, "."))
	case !full && !strings.HasSuffix(whole, "."+rest):
		return fmt.Sprintf("identities of this mesh end with %s", strings.TrimPrefix(whole, "."))
	}
	return ""
}

// linked tells whether the mesh spans other clusters, whose identities may end otherwise.
func (a *auditor) linked() bool {
	return slices.ContainsFunc(a.m.Existing, func(o model.Object) bool { return o.Ref().Group() == "multicluster.linkerd.io" })
}

// unknown is a name that nobody bears, as far as was read; sure tells that its namespace was read.
type unknown struct {
	name, why string
	sure      bool
}

// unknownAccount tells whether something in the mesh runs as a service account; the name is empty where it does.
func (a *auditor) unknownAccount(namespace, account string) unknown {
	u := unknown{name: namespace + "/" + account}
	workloads := a.m.WorkloadsIn(namespace)
	for i := range workloads {
		if w := model.AtBest(&workloads[i], a.pods[workloads[i].ID]); w.ServiceAccount == account {
			if n := a.m.Namespace(namespace); w.Facts.Meshed() || !w.Running && (n == nil || !n.Declared) {
				return unknown{}
			}
			u.why, u.sure = w.ID.String()+" runs as it outside the mesh, and brings no identity", true
		}
	}
	switch {
	case u.why != "":
	case a.m.Namespace(namespace) == nil:
		u.why, u.sure = "nothing of namespace "+namespace+" was read", a.wholeCluster()
	case len(workloads) == 0:
		u.why = "no workload of namespace " + namespace + " was read"
	case a.isThere("", "ServiceAccount", namespace, account):
		u.why = "the ServiceAccount is there, and no workload that was read runs as it"
	default:
		u.why, u.sure = "no workload that was read runs as it", true
	}
	return u
}

func (a *auditor) nobody(ref model.Ref, field string, u unknown) {
	if u.name == "" {
		return
	}
	severity, not := model.Warning, ""
	if !u.sure {
		severity, not = model.Info, ", so it is not known whether anybody bears it"
	}
	a.find("PrincipalUnknown", severity, ref, field, fmt.Sprintf("it names %s: %s%s", u.name, u.why, not), "correct the name, or take it out")
}
