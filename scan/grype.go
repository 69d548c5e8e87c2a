package scan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The fields that are read of Grype's reports (anchore/grype, grype/presenter/models).
type (
	grypeReport struct {
		// Matches is nil where the report has none, which a whole one never lacks.
		Matches         *[]grypeMatch `json:"matches"`
		IgnoredMatches  []grypeMatch  `json:"ignoredMatches"`
		AlertsByPackage []struct {
			Alerts []struct {
				Type     string `json:"type"`
				Metadata any    `json:"metadata"`
			} `json:"alerts"`
		} `json:"alertsByPackage"`
		Source *struct {
			Type   string `json:"type"`
			Target any    `json:"target"`
		} `json:"source"`
		Descriptor struct {
			Name      string `json:"name"`
			Version   string `json:"version"`
			Timestamp string `json:"timestamp"`
			DB        any    `json:"db"`
		} `json:"descriptor"`
	}
	grypeMatch struct {
		Vulnerability struct {
			grypeMetadata
			Fix struct {
				Versions []string `json:"versions"`
				State    string   `json:"state"`
			} `json:"fix"`
		} `json:"vulnerability"`
		RelatedVulnerabilities []grypeMetadata `json:"relatedVulnerabilities"`
		Artifact               struct {
			Name      string `json:"name"`
			Version   string `json:"version"`
			Type      string `json:"type"`
			PURL      string `json:"purl"`
			Locations []struct {
				Path string `json:"path"`
			} `json:"locations"`
			Metadata any `json:"metadata"`
		} `json:"artifact"`
		AppliedIgnoreRules []struct {
			Vulnerability    string `json:"vulnerability"`
			Reason           string `json:"reason"`
			FixState         string `json:"fix-state"`
			VexStatus        string `json:"vex-status"`
			VexJustification string `json:"vex-justification"`
		} `json:"appliedIgnoreRules"`
	}
	grypeMetadata struct {
		ID          string `json:"id"`
		DataSource  string `json:"dataSource"`
		Namespace   string `json:"namespace"`
		Severity    string `json:"severity"`
		Description string `json:"description"`
	}
)

const grype = "grype"

// readGrype reads Grype's JSON.
func readGrype(r *Report, text []byte) error {
	var g grypeReport
	if err := decode(text, &g); err != nil {
		return err
	}
	switch {
	case g.Matches == nil:
		return errors.New("matches is null: Grype writes a list, and an empty one where it found nothing")
	case g.Source == nil && g.Descriptor.Name == "":
		return errors.New("it has matches, and neither a source nor a descriptor: it is no whole report of Grype")
	}
	r.Format, r.Scanners = grype, []string{strings.TrimSpace(grype + " " + g.Descriptor.Version)}
	if g.Descriptor.Timestamp != "" {
		created, err := time.Parse(time.RFC3339Nano, g.Descriptor.Timestamp)
		if err != nil {
			return fmt.Errorf("descriptor.timestamp: %w", err)
		}
		r.Created = created
	}
	if fault := grypeDatabaseFault(g.Descriptor.DB); fault != "" {
		r.gap(Gap{Code: "ScanFailed", Grave: true, Message: "Grype's database of vulnerabilities was not sound: " + fault, Fix: "run grype db update and scan again"})
	}
	a := &artifact{}
	if g.Source == nil || g.Source.Type == "" || g.Source.Type == "unknown" {
		r.gap(Gap{Code: "EmptyReport", Grave: true, Message: "Grype does not say what it scanned", Fix: "look at what it was given"})
	} else {
		a = grypeArtifact(g.Source.Target)
	}
	for i := range *g.Matches {
		r.Findings = append(r.Findings, (*g.Matches)[i].finding(a))
	}
	for i := range g.IgnoredMatches {
		r.Suppressed = append(r.Suppressed, g.IgnoredMatches[i].suppressed(a))
	}
	r.grypeEndOfLife(&g, a)
	return nil
}

// grypeDatabaseFault reads the state of the database from the descriptor, whose shape changed with the database's version; empty is sound or not told.
func grypeDatabaseFault(db any) string {
	state, _ := db.(map[string]any)
	if inner, ok := state["status"].(map[string]any); ok {
		state = inner
	}
	if fault, _ := state["error"].(string); fault != "" {
		return fault
	}
	if valid, told := state["valid"].(bool); told && !valid {
		return "it was not valid"
	}
	return ""
}

// grypeArtifact reads the target, which is an object for images and a path for all else.
func grypeArtifact(target any) *artifact {
	switch t := target.(type) {
	case string:
		return &artifact{name: t}
	case map[string]any:
		text := func(key string) string { s, _ := t[key].(string); return s }
		a := &artifact{name: text("userInput")}
		for _, id := range []string{text("imageID"), text("manifestDigest")} {
			if id != "" {
				a.ids = append(a.ids, id)
			}
		}
		list, _ := t["repoDigests"].([]any)
		for _, item := range list {
			reference, _ := item.(string)
			a.ids = append(a.ids, digests([]string{reference})...)
		}
		return a
	default:
		return &artifact{}
	}
}

// ofDistribution are the types of packages that a distribution's package manager installs: they are in no place of their own.
var ofDistribution = []string{"deb", "rpm", "apk", "alpm", "portage"}

func (m *grypeMatch) finding(a *artifact) Finding {
	v := &m.Vulnerability
	f := Finding{
		Kind: Vulnerability, ID: v.ID, Title: firstSentence(v.Description), Link: v.DataSource, of: a,
		Package: m.Artifact.Name, Version: m.Artifact.Version, PURL: m.Artifact.PURL, Scanners: []string{grype},
		Ratings: []Rating{{Scanner: grype, Source: grypeSource(v.Namespace), Severity: severityOf(v.Severity), Chosen: true}},
		Fix:     grypeFix(v.Fix.State, v.Fix.Versions),
	}
	for i := range m.RelatedVulnerabilities {
		related := &m.RelatedVulnerabilities[i]
		if related.ID != v.ID {
			f.Related = append(f.Related, related.ID)
		}
		if related.ID == v.ID || len(m.RelatedVulnerabilities) == 1 {
			f.Ratings = append(f.Ratings, Rating{Scanner: grype, Source: grypeSource(related.Namespace), Severity: severityOf(related.Severity)})
			if f.Title == "" {
				f.Title = firstSentence(related.Description)
			}
		}
	}
	f.Aliases, f.Related = aliasesOf(f.ID, f.Related)
	if slices.Contains(ofDistribution, m.Artifact.Type) {
		return f
	}
	metadata, _ := m.Artifact.Metadata.(map[string]any)
	if inner, _ := metadata["virtualPath"].(string); inner != "" {
		f.Locations = locationsOf(strings.ReplaceAll(inner, ":", "/"), 0)
		return f
	}
	for _, l := range m.Artifact.Locations {
		f.Locations = append(f.Locations, locationsOf(l.Path, 0)...)
	}
	return f
}

// aliasesOf tells other names of one flaw from the flaws that an advisory gathers: with one CVE among them they are one flaw.
func aliasesOf(id string, related []string) (aliases, rest []string) {
	cves := 0
	for _, other := range append([]string{id}, related...) {
		if isCVE(other) {
			cves++
		}
	}
	if cves > 1 {
		return nil, related
	}
	return related, nil
}

// grypeSource names the source of a namespace, such as "debian:distro:debian:12", as Trivy names it.
func grypeSource(namespace string) string {
	source, _, _ := strings.Cut(namespace, ":")
	if source == "github" {
		return "ghsa"
	}
	return source
}

func grypeFix(state string, versions []string) Fix {
	switch state {
	case "fixed":
		return Fix{State: FixAvailable, Versions: slices.Clone(versions)}
	case "not-fixed", "wont-fix":
		return Fix{State: FixNone, Note: state}
	default:
		return Fix{State: FixUnknown}
	}
}

func (m *grypeMatch) suppressed(a *artifact) Suppressed {
	var reasons []string
	for _, rule := range m.AppliedIgnoreRules {
		vex := ""
		if rule.VexStatus != "" {
			vex = "vex: " + joined(", ", rule.VexStatus, rule.VexJustification)
		}
		fix := ""
		if rule.FixState != "" {
			fix = "fix state " + rule.FixState
		}
		reasons = append(reasons, joined("; ", rule.Reason, vex, fix))
	}
	reason := joined("; ", reasons...)
	if reason == "" {
		reason = "a rule of Grype's configuration that gives no reason"
	}
	return Suppressed{Scanner: grype, ID: m.Vulnerability.ID, Artifact: a.name, Package: m.Artifact.Name, Version: m.Artifact.Version, Reason: reason}
}

// grypeEndOfLife notes the distributions of alerts, each once.
func (r *Report) grypeEndOfLife(g *grypeReport, a *artifact) {
	seen := map[string]bool{}
	for _, p := range g.AlertsByPackage {
		for _, alert := range p.Alerts {
			if alert.Type != "distro-eol" {
				continue
			}
			metadata, _ := alert.Metadata.(map[string]any)
			name, _ := metadata["name"].(string)
			version, _ := metadata["version"].(string)
			distribution := joined(" ", name, version)
			if !seen[distribution] {
				seen[distribution] = true
				r.Findings = append(r.Findings, endOfLife(grype, distribution, a))
			}
		}
	}
}

// firstSentence is the beginning of a description, at most 160 characters.
func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if sentence, _, found := strings.Cut(text, ". "); found {
		text = sentence
	}
	const longest = 160
	if letters := []rune(text); len(letters) > longest {
		return string(letters[:longest-1]) + "…"
	}
	return text
}
