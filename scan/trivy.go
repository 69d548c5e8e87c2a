package scan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/json"
)

// The fields that are read of Trivy's reports (aquasecurity/trivy, pkg/types/report.go, pkg/k8s/report/report.go).
type (
	trivyReport struct {
		SchemaVersion int
		Trivy         struct{ Version string }
		CreatedAt     string
		ArtifactName  string
		ArtifactType  string
		Metadata      trivyMetadata
		Results       []trivyResult
	}
	trivyCluster struct {
		ClusterName string
		Resources   []trivyResource
		// Findings are what a consolidated report has in their place, and the others what older versions had.
		Findings, Vulnerabilities, Misconfigurations []trivyResource
	}
	trivyResource struct {
		Namespace, Kind, Name string
		Metadata              trivyMetadatas
		Results               []trivyResult
		Error                 string
	}
	// trivyMetadatas is a list, which older versions write as one object.
	trivyMetadatas []trivyMetadata
	trivyMetadata  struct {
		OS *struct {
			Family, Name string
			EOSL         bool
		}
		ImageID               string
		RepoTags, RepoDigests []string
	}
	trivyResult struct {
		Target, Class, Type          string
		Vulnerabilities              []trivyVulnerability
		Misconfigurations            []trivyMisconfiguration
		Secrets                      []trivySecret
		Licenses                     []trivyLicense
		ExperimentalModifiedFindings []trivyModified
	}
	trivyVulnerability struct {
		VulnerabilityID  string
		VendorIDs        []string
		PkgName, PkgPath string
		PkgIdentifier    struct{ PURL string }
		InstalledVersion string
		FixedVersion     string
		Status           string
		SeveritySource   string
		PrimaryURL       string
		Title            string
		Severity         string
		VendorSeverity   map[string]any
	}
	trivyMisconfiguration struct {
		ID, AVDID, Title, Message string
		Severity, PrimaryURL      string
		Status                    string
		CauseMetadata             struct{ StartLine int }
	}
	trivySecret struct {
		RuleID, Severity, Title string
		StartLine               int
	}
	trivyLicense  struct{ Severity, Category, PkgName, FilePath, Name, Link string }
	trivyModified struct {
		Type, Status, Statement, Source string
		Finding                         struct {
			VulnerabilityID, ID, RuleID, Name  string
			PkgName, InstalledVersion, PkgPath string
		}
	}
)

const trivy = "trivy"

// UnmarshalJSON takes a list or one object.
func (m *trivyMetadatas) UnmarshalJSON(text []byte) error {
	if strings.HasPrefix(string(text), "{") {
		*m = make(trivyMetadatas, 1)
		return json.UnmarshalCaseSensitivePreserveInts(text, &(*m)[0])
	}
	return json.UnmarshalCaseSensitivePreserveInts(text, (*[]trivyMetadata)(m))
}

// readTrivy reads a report of an image, a file system, a repository or an SBOM.
func readTrivy(r *Report, text []byte) error {
	var t trivyReport
	if err := decode(text, &t); err != nil {
		return err
	}
	if t.SchemaVersion != 2 {
		return fmt.Errorf("a report of Trivy of schema %d; only 2 is known", t.SchemaVersion)
	}
	r.Format = trivy
	r.Scanners = []string{strings.TrimSpace(trivy + " " + t.Trivy.Version)}
	if t.CreatedAt != "" {
		created, err := time.Parse(time.RFC3339, t.CreatedAt)
		if err != nil {
			return fmt.Errorf("CreatedAt: %w", err)
		}
		r.Created = created
	}
	if len(t.Results) == 0 {
		r.empty(fmt.Sprintf("Trivy found nothing in %q that it could look at, no packages and no configuration; it writes the same after looking for secrets alone and finding none", t.ArtifactName))
	}
	a := t.Metadata.artifact(t.ArtifactName)
	r.trivyEndOfLife(&t.Metadata, a, nil)
	for i := range t.Results {
		r.trivyResult(&t.Results[i], a, nil)
	}
	return nil
}

// readTrivyCluster reads a report of trivy k8s.
func readTrivyCluster(r *Report, text []byte) error {
	var t trivyCluster
	if err := decode(text, &t); err != nil {
		return err
	}
	r.Format, r.Scanners = "trivy-k8s", []string{trivy}
	resources := slices.Concat(t.Resources, t.Findings, t.Vulnerabilities, t.Misconfigurations)
	if len(resources) == 0 {
		r.empty(fmt.Sprintf("Trivy looked at nothing in the cluster %q", t.ClusterName))
	}
	for i := range resources {
		r.trivyResource(&resources[i])
	}
	return nil
}

func (r *Report) trivyResource(t *trivyResource) {
	name := strings.TrimPrefix(t.Namespace+"/"+t.Name, "/")
	workload := strings.TrimSpace(t.Kind + " " + name)
	if t.Error != "" {
		r.gap(Gap{Code: "ScanFailed", Grave: true, Message: fmt.Sprintf("%s was not scanned: %s", workload, t.Error), Fix: "mend it and scan again"})
	}
	// Of one image only it can be said which one has a flaw.
	image := &artifact{name: workload}
	if len(t.Metadata) == 1 {
		image = t.Metadata[0].artifact(workload)
	}
	object := &artifact{name: workload}
	for i := range t.Metadata {
		r.trivyEndOfLife(&t.Metadata[i], image, []string{workload})
	}
	for i := range t.Results {
		result := &t.Results[i]
		if result.Class == "config" {
			r.trivyResult(result, object, nil)
		} else {
			r.trivyResult(result, image, []string{workload})
		}
	}
}

// artifact is what the metadata tell of; name is what it is called if they do not tell.
func (m *trivyMetadata) artifact(name string) *artifact {
	a := &artifact{name: name}
	if m.ImageID == "" {
		return a
	}
	if strings.Contains(name, " ") || name == "" {
		a.name = cmp.Or(first(m.RepoTags), first(m.RepoDigests), m.ImageID)
	}
	a.ids = append([]string{m.ImageID}, digests(m.RepoDigests)...)
	return a
}

func first(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}

// digests takes the names off "repository@sha256:…".
func digests(references []string) []string {
	var list []string
	for _, reference := range references {
		if _, digest, found := strings.Cut(reference, "@"); found {
			list = append(list, digest)
		}
	}
	return list
}

func (r *Report) trivyEndOfLife(m *trivyMetadata, a *artifact, workloads []string) {
	if m.OS != nil && m.OS.EOSL {
		f := endOfLife(trivy, m.OS.Family+" "+m.OS.Name, a)
		f.Workloads = workloads
		r.Findings = append(r.Findings, f)
	}
}

// endOfLife is the finding that a distribution gets no more fixes.
func endOfLife(scanner, distribution string, a *artifact) Finding {
	return Finding{
		Kind: EndOfLife, ID: "EndOfLife", of: a, Scanners: []string{scanner}, Package: strings.TrimSpace(distribution),
		Title:   "the distribution gets no fixes any more, and what is found in it is not all there is",
		Ratings: []Rating{{Scanner: scanner, Severity: High, Chosen: true}}, Fix: Fix{State: FixAvailable},
	}
}

func (r *Report) trivyResult(t *trivyResult, a *artifact, workloads []string) {
	begin := len(r.Findings)
	for i := range t.Vulnerabilities {
		r.Findings = append(r.Findings, t.vulnerability(&t.Vulnerabilities[i]))
	}
	for i := range t.Misconfigurations {
		m := &t.Misconfigurations[i]
		if m.Status != "" && m.Status != "FAIL" {
			continue
		}
		r.Findings = append(r.Findings, Finding{
			Kind: Misconfiguration, ID: cmp.Or(m.ID, m.AVDID), Title: cmp.Or(m.Message, m.Title), detail: m.Message, Ratings: trivyRating(m.Severity), Link: m.PrimaryURL,
			Locations: locationsOf(t.Target, m.CauseMetadata.StartLine), Fix: Fix{State: FixAvailable},
		})
	}
	for i := range t.Secrets {
		s := &t.Secrets[i]
		r.Findings = append(r.Findings, Finding{
			Kind: Secret, ID: s.RuleID, Title: s.Title, Ratings: trivyRating(s.Severity), Locations: locationsOf(t.Target, s.StartLine), Fix: Fix{State: FixAvailable},
		})
	}
	for i := range t.Licenses {
		l := &t.Licenses[i]
		r.Findings = append(r.Findings, Finding{
			Kind: License, ID: l.Name, Title: strings.TrimSpace("license " + l.Category), Package: l.PkgName, Ratings: trivyRating(l.Severity), Link: l.Link,
			Locations: locationsOf(l.FilePath, 0), Fix: Fix{State: FixAvailable},
		})
	}
	for i := begin; i < len(r.Findings); i++ {
		r.Findings[i].of, r.Findings[i].Workloads, r.Findings[i].Scanners = a, workloads, []string{trivy}
	}
	for i := range t.ExperimentalModifiedFindings {
		m := &t.ExperimentalModifiedFindings[i]
		f := &m.Finding
		r.Suppressed = append(r.Suppressed, Suppressed{
			Scanner: trivy, ID: cmp.Or(f.VulnerabilityID, f.ID, f.RuleID, f.Name), Artifact: a.name, Package: f.PkgName, Version: f.InstalledVersion,
			Reason: joined(": ", joined(" by ", m.Status, m.Source), m.Statement),
		})
	}
}

func (t *trivyResult) vulnerability(v *trivyVulnerability) Finding {
	f := Finding{
		Kind: Vulnerability, ID: v.VulnerabilityID, Related: slices.Clone(v.VendorIDs), Title: v.Title, Link: v.PrimaryURL,
		Package: v.PkgName, Version: v.InstalledVersion, PURL: v.PkgIdentifier.PURL,
		Ratings: []Rating{{Scanner: trivy, Source: v.SeveritySource, Severity: severityOf(v.Severity), Chosen: true}},
		Fix:     Fix{State: FixNone, Note: v.Status},
	}
	if t.Class != "os-pkgs" {
		f.Locations = locationsOf(cmp.Or(v.PkgPath, t.Target), 0)
	}
	for source, severity := range v.VendorSeverity {
		if source != v.SeveritySource {
			f.Ratings = append(f.Ratings, Rating{Scanner: trivy, Source: source, Severity: trivySeverity(severity)})
		}
	}
	if v.FixedVersion != "" {
		f.Fix = Fix{State: FixAvailable, Versions: split(v.FixedVersion)}
	}
	return f
}

func trivyRating(word string) []Rating {
	return []Rating{{Scanner: trivy, Severity: severityOf(word), Chosen: true}}
}

// trivySeverity reads a value of VendorSeverity, which is a number from 0 (unknown) to 4 (critical).
func trivySeverity(v any) Severity {
	switch n := v.(type) {
	case int64:
		if n >= 1 && n <= 4 {
			return []Severity{Low, Medium, High, Critical}[n-1]
		}
	case string:
		return severityOf(n)
	}
	return Unknown
}

// split takes apart "1.2.3, 1.3.1".
func split(list string) []string {
	var items []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// joined joins what is not empty.
func joined(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), separator)
}
