package preflight

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// version is major and minor of a release.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) before(o version) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

var versionForm = regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})(?:[.+-].*)?$`)

// parseVersion reads "v1.37.2-eks-1", "1.31" and the like.
func parseVersion(text string) (version, bool) {
	found := versionForm.FindStringSubmatch(text)
	if found == nil {
		return version{}, false
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	return version{major, minor}, true
}

// The releases of Kubernetes that palisade is held to.
var (
	oldestKubernetes = version{1, 28}
	newestKubernetes = version{1, 37}
)

func serverAnswers() Check {
	return Check{
		ID: "ServerAnswers", Category: Server, Live: true,
		What: "the API server answers, and knows who asks",
		Why:  "Everything else is asked of it; an API whose own server is down cannot be read, nor written.",
		Fix:  "see to the servers behind these APIs: kubectl get apiservices",
		Run: func(in *Input) Outcome {
			var t tally
			who := in.Survey.Host
			if in.Survey.User != "" {
				who += " as " + in.Survey.User
			}
			for _, silent := range in.Survey.Silent {
				t.look(Unknown, "%s", silent)
			}
			t.look(Passed, "")
			return t.outcome(who, who+"; some APIs do not answer")
		},
	}
}

func serverVersion() Check {
	return Check{
		ID: "ServerVersion", Category: Server, Live: true,
		What: fmt.Sprintf("Kubernetes is of a release from %s to %s", oldestKubernetes, newestKubernetes),
		Why:  "palisade is held to these releases. Older ones lack APIs that it writes by; of newer ones nobody has looked what changed.",
		Fix:  "upgrade the cluster, or palisade where the cluster is newer",
		Run: func(in *Input) Outcome {
			v, ok := parseVersion(in.Survey.Version)
			switch {
			case !ok:
				return outcome(Unknown, "the server gives %q as its version", in.Survey.Version)
			case v.before(oldestKubernetes):
				return outcome(Failed, "%s, older than %s", in.Survey.Version, oldestKubernetes)
			case newestKubernetes.before(v):
				return outcome(Warning, "%s, newer than %s", in.Survey.Version, newestKubernetes)
			default:
				return outcome(Passed, "%s", in.Survey.Version)
			}
		},
	}
}

// How far clocks may lie apart. Linkerd issues certificates that begin 20 s
// before its own clock (identity.issuer.clockSkewAllowance), Istio two minutes.
const (
	skewNoted   = 5 * time.Second
	skewAtFault = 20 * time.Second
)

func clockSkew() Check {
	return Check{
		ID: "ClockSkew", Category: Server, Live: true,
		What: "the clocks of this machine and of the API server agree",
		Why:  "Exemptions end on the second, and certificates are judged by the clock: where it is wrong, so is what palisade says of them; peers refuse certificates that have not begun.",
		Fix:  "let both machines keep time by NTP",
		Run: func(in *Input) Outcome {
			s := in.Survey
			if s.Date.IsZero() || s.Clock.IsZero() {
				return outcome(Unknown, "the server tells no time (a proxy may have taken its Date header out)").fix("ask the API server itself, without the proxy")
			}
			// Date is cut to the second, and was written at some time during the trip.
			skew := s.Clock.Sub(s.Date.Add(time.Second / 2))
			doubt := time.Second/2 + s.Trip/2
			apart := max(skew.Abs()-doubt, 0)
			word := "ahead of"
			if skew < 0 {
				word = "behind"
			}
			switch {
			case apart > skewAtFault:
				return outcome(Failed, "this machine is %s %s the API server", apart.Round(time.Second), word)
			case apart > skewNoted:
				return outcome(Warning, "this machine is %s %s the API server", apart.Round(time.Second), word)
			default:
				return outcome(Passed, "they agree to within %s", max(time.Second, doubt.Round(100*time.Millisecond)))
			}
		},
	}
}

func everythingRead() Check {
	return Check{
		ID: "EverythingRead", Category: Server,
		What: "everything that palisade looks at could be read, and is valid",
		Why:  "What was not read may open or close anything: every result is incomplete without.",
		Fix:  "grant the right to list these kinds, and correct what is not valid",
		Run: func(in *Input) Outcome {
			var t tally
			for i := range in.Problems {
				if p := &in.Problems[i]; p.Code == "KindUnreadable" || p.Code == "ObjectInvalid" {
					t.look(Unknown, "%s%s", subjectText(p.Subject), p.Message)
				}
			}
			t.look(Passed, "")
			m := in.Model
			return t.outcome(fmt.Sprintf("%s, %s, %s", plural(len(m.Namespaces), "namespace"), plural(len(m.Workloads), "workload"), plural(len(m.Pods), "pod")),
				plural(len(t.details), "fault"))
		},
	}
}

// served tells whether a running cluster serves a kind in a version; of a folder its CustomResourceDefinitions tell.
func (in *Input) served(s Served) (is, known bool) {
	if in.live() {
		for _, silent := range in.Survey.Silent {
			if strings.HasPrefix(silent, s.Group+"/") {
				return false, false
			}
		}
		for _, there := range in.Survey.Served {
			if there == s {
				return true, true
			}
		}
		return false, true
	}
	for i := range in.Model.Existing {
		o := &in.Model.Existing[i]
		spec := o.Map("spec")
		if o.Ref().Kind != "CustomResourceDefinition" || spec["group"] != s.Group || o.Map("spec", "names")["kind"] != s.Kind {
			continue
		}
		versions, _ := spec["versions"].([]any)
		for _, v := range versions {
			if v, _ := v.(map[string]any); v["name"] == s.Version && v["served"] == true {
				return true, true
			}
		}
		return false, true
	}
	return false, false
}

func kindsServed() Check {
	return Check{
		ID: "KindsServed", Category: Server,
		What: "the kinds that palisade writes are served, in the versions that it writes",
		Why:  "What is not served cannot be written: the layer stays open, and its step of the rollout waits.",
		Fix:  "install or upgrade the CustomResourceDefinitions of the mesh, or of Gateway API",
		Run: func(in *Input) Outcome {
			var t tally
			unknown := 0
			kinds := Writes(&in.Model.Cluster)
			for _, w := range kinds {
				switch is, known := in.served(w.Served); {
				case w.builtIn && !in.live():
				case !known:
					unknown++
				case is:
					t.look(Passed, "")
				case w.unless != "":
					t.look(Warning, "%s/%s %s is not served: %s", w.Group, w.Version, w.Kind, w.unless)
				default:
					t.look(Failed, "%s/%s %s is not served", w.Group, w.Version, w.Kind)
				}
			}
			switch {
			case unknown > 0 && !in.live() && t.looked == 0:
				return outcome(Skipped, "no CustomResourceDefinition of the mesh among what was read")
			case unknown > 0:
				t.look(Unknown, "%s: their servers do not answer, or they were not read", plural(unknown, "kind"))
			case t.looked == 0:
				return outcome(Skipped, "no kinds beside those of Kubernetes itself")
			}
			return t.outcome(plural(len(kinds), "kind"), "not all of them are served")
		},
	}
}
