package preflight

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
)

func definitionsCurrent() Check {
	return Check{
		ID: "DefinitionsCurrent", Category: Palisade, Live: true,
		What: "palisade's CustomResourceDefinitions are installed, and of this palisade's schema",
		Why:  "An older schema drops fields that it does not know in silence, so that an intent says less than was written.",
		Fix:  "apply deploy/crds of this palisade: kubectl apply --server-side -f deploy/crds",
		Run: func(in *Input) Outcome {
			var t tally
			installed := 0
			for i := range in.Survey.Definitions {
				d := &in.Survey.Definitions[i]
				if d.Found {
					installed++
				}
				switch {
				case d.Unread != "":
					t.look(Unknown, "%s: %s", d.Name, d.Unread)
				case !d.Found:
					t.look(Failed, "%s: not installed", d.Name)
				case !d.Established:
					t.look(Failed, "%s: not established", d.Name)
				case d.Difference != "":
					t.look(Failed, "%s: %s", d.Name, d.Difference)
				default:
					t.look(Passed, "")
				}
			}
			switch {
			case t.looked == 0:
				return outcome(Unknown, "nothing was asked")
			case installed == 0 && !t.unknown && in.For != Controller:
				return outcome(Warning, "none is installed: palisade judges this cluster, and nothing governs it")
			}
			return t.outcome(plural(t.looked, "kind"), plural(len(t.details), "kind")+" not as this palisade has it")
		},
	}
}

// staleAfter is how many times its duration a lease may be old before nobody holds it.
const staleAfter = 2

func controllerLeads() Check {
	return Check{
		ID: "ControllerLeads", Category: Palisade, Live: true,
		What: "one controller of palisade runs, if any, and leads",
		Why:  "Without a leader nothing is repaired, and rollouts stand still; two controllers in two namespaces undo each other's work.",
		Fix:  "see why its pods do not run; remove the second installation",
		Run: func(in *Input) Outcome {
			s := in.Survey
			if s.LeasesUnread != "" {
				return outcome(Unknown, "leases could not be read: %s", s.LeasesUnread).fix("let whoever runs palisade check list leases.coordination.k8s.io")
			}
			var held, stale []string
			for i := range s.Leases {
				l := &s.Leases[i]
				age := in.Now.Sub(l.Renewed)
				text := fmt.Sprintf("Lease %s/%s: held by %q, renewed %s ago", l.Namespace, l.Name, l.Holder, age.Round(time.Second))
				switch {
				case l.Holder == "":
					stale = append(stale, fmt.Sprintf("Lease %s/%s: held by nobody", l.Namespace, l.Name))
				case l.Renewed.IsZero() || age > staleAfter*l.Duration:
					stale = append(stale, text)
				default:
					held = append(held, text)
				}
			}
			o := Outcome{Details: slices.Concat(held, stale)}
			switch {
			case len(held) > 1:
				o.Status, o.Says = Failed, plural(len(held), "controller")+" lead at once"
			case len(held) == 1:
				o.Status, o.Says, o.Details = Passed, held[0], nil
			case len(stale) > 0:
				o.Status, o.Says = Warning, "the controller is installed, and nobody leads"
			default:
				return outcome(Skipped, "no controller has run here")
			}
			return o
		},
	}
}

func leftovers() Check {
	return Check{
		ID: "Leftovers", Category: Palisade,
		Reads: []string{ownGroup + "/securityprofiles", "networking.k8s.io/networkpolicies"},
		What:  "every object that bears palisade's mark belongs to a profile that is there",
		Why:   "Objects of a profile that is gone go on closing, and nobody adapts them.",
		Fix:   "palisade plan lists them as deletions; delete them, what denies before what allows",
		Run: func(in *Input) Outcome {
			owned := 0
			counts := map[string]int{}
			for i := range in.Model.Existing {
				o := &in.Model.Existing[i]
				if !o.Owned() || !strings.HasPrefix(o.Ref().Name, model.NamePrefix) {
					continue
				}
				owned++
				if profile := o.Labels()[model.ProfileLabel]; !in.hasProfile(profile) {
					counts[fmt.Sprintf("profile %q: %s in %s", profile, o.Ref().Kind, o.Ref().Namespace)]++
				}
			}
			var t tally
			for _, what := range sortedKeys(counts) {
				t.look(Warning, "%s: %d", what, counts[what])
			}
			t.look(Passed, "")
			return t.outcome(plural(owned, "object")+" of palisade", "objects of profiles that are not there")
		},
	}
}

// hasProfile knows a profile by the value of its label, which is cut where its name is too long for one.
func (in *Input) hasProfile(label string) bool {
	return slices.ContainsFunc(in.Profiles, func(name string) bool { return model.LabelValue(name) == label })
}

func profilesAgree() Check {
	return Check{
		ID: "ProfilesAgree", Category: Palisade, Reads: []string{ownGroup + "/securityprofiles"},
		What: "one profile governs each namespace",
		Why:  "Where two of equal priority select a namespace, neither governs it: nothing is written there, and nothing changed.",
		Fix:  "give one of them a higher priority, or narrow its namespaceSelector",
		Run: func(in *Input) Outcome {
			if len(in.Profiles) == 0 {
				return in.none("SecurityProfile")
			}
			var t tally
			for _, text := range in.coded("ProfileConflict") {
				t.look(Failed, "%s", text)
			}
			for _, text := range in.coded("ProfileGovernsNothing") {
				t.look(Warning, "%s", text)
			}
			t.look(Passed, "")
			return t.outcome(plural(len(in.Profiles), "profile"), "profiles in conflict, or without effect")
		},
	}
}

func exemptionsLast() Check {
	return Check{
		ID: "ExemptionsLast", Category: Palisade, Reads: []string{ownGroup + "/exemptions"},
		What: "no exemption ends within a week, or has ended",
		Why:  "On the second that it ends, what it relaxed is held again: pods that still need it are refused.",
		Fix:  "do away with the need for it, or extend it with its reason and its owner",
		Run: func(in *Input) Outcome {
			var t tally
			for _, text := range in.coded("ExemptionExpiring", "ExemptionExpired") {
				t.look(Warning, "%s", text)
			}
			t.look(Passed, "")
			inForce := len(in.coded("ExemptionInForce"))
			return t.outcome(plural(inForce, "exemption")+" in force for more than a week", plural(len(t.details), "exemption")+" ending or ended")
		},
	}
}

func auditClean() Check {
	return Check{
		ID: "AuditClean", Category: Palisade, Reads: []string{"*"},
		What: "palisade audit finds no error",
		Why:  "A hole that is there now is not closed by what palisade adds, unless its profile covers it.",
		Fix:  "see palisade audit",
		Run: func(in *Input) Outcome {
			counts := map[string]int{}
			errors, warnings := 0, 0
			for i := range in.Findings {
				switch f := &in.Findings[i]; f.Severity {
				case model.Error:
					errors++
					counts[f.Code]++
				case model.Warning:
					warnings++
				}
			}
			text := plural(errors, "finding") + " of severity error, " + plural(warnings, "warning")
			if errors == 0 {
				return outcome(Passed, "%s", text)
			}
			o := outcome(Warning, "%s", text)
			for _, code := range sortedKeys(counts) {
				o.Details = append(o.Details, fmt.Sprintf("%s: %d", code, counts[code]))
			}
			return o
		},
	}
}
