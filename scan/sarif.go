package scan

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The fields that are read of SARIF (OASIS, SARIF 2.1.0).
type (
	sarifLog struct {
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver     sarifComponent   `json:"driver"`
			Extensions []sarifComponent `json:"extensions"`
		} `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		// Results is nil where the run did not look (section 3.14.23), which is another thing than a list of none.
		Results    *[]sarifResult `json:"results"`
		Properties map[string]any `json:"properties"`
	}
	sarifComponent struct {
		Name            string      `json:"name"`
		Version         string      `json:"version"`
		SemanticVersion string      `json:"semanticVersion"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string         `json:"id"`
		Name                 string         `json:"name"`
		ShortDescription     sarifText      `json:"shortDescription"`
		FullDescription      sarifText      `json:"fullDescription"`
		Help                 sarifText      `json:"help"`
		HelpURI              string         `json:"helpUri"`
		DefaultConfiguration sarifLevel     `json:"defaultConfiguration"`
		Properties           map[string]any `json:"properties"`
	}
	sarifText  struct{ Text string }
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifInvocation struct {
		ExecutionSuccessful        *bool               `json:"executionSuccessful"`
		EndTimeUTC                 string              `json:"endTimeUtc"`
		ToolExecutionNotifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID        string             `json:"ruleId"`
		RuleIndex     *int               `json:"ruleIndex"`
		Rule          *sarifReference    `json:"rule"`
		Kind          string             `json:"kind"`
		Level         string             `json:"level"`
		BaselineState string             `json:"baselineState"`
		Message       sarifText          `json:"message"`
		Locations     []sarifLocation    `json:"locations"`
		Suppressions  []sarifSuppression `json:"suppressions"`
		Properties    map[string]any     `json:"properties"`
	}
	sarifReference struct {
		ID            string `json:"id"`
		Index         *int   `json:"index"`
		ToolComponent *struct {
			Index *int `json:"index"`
		} `json:"toolComponent"`
	}
	sarifLocation struct {
		PhysicalLocation struct {
			ArtifactLocation struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine   int `json:"startLine"`
				StartColumn int `json:"startColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// UnmarshalJSON reads the text of a message, or of a message by its id, which is then the text.
func (t *sarifText) UnmarshalJSON(text []byte) error {
	var m struct {
		Text string `json:"text"`
		ID   string `json:"id"`
	}
	if err := decode(text, &m); err != nil {
		return err
	}
	t.Text = cmp.Or(m.Text, m.ID)
	return nil
}

// readSARIF reads the log of any tool; of Trivy's and Grype's also what they say of packages.
func readSARIF(r *Report, text []byte) error {
	var log sarifLog
	if err := decode(text, &log); err != nil {
		return err
	}
	if log.Version != "2.1.0" {
		return fmt.Errorf("SARIF of version %q; only 2.1.0 is known", log.Version)
	}
	r.Format = "sarif"
	if len(log.Runs) == 0 {
		r.empty("the log has no run: nothing was scanned")
	}
	for i := range log.Runs {
		if err := r.sarifRun(&log.Runs[i]); err != nil {
			return fmt.Errorf("runs[%d]: %w", i, err)
		}
	}
	return nil
}

func (r *Report) sarifRun(run *sarifRun) error {
	driver := &run.Tool.Driver
	if driver.Name == "" {
		return errors.New("tool.driver.name is missing, so it is not known what wrote it")
	}
	tool := strings.ToLower(driver.Name)
	r.Scanners = append(r.Scanners, strings.TrimSpace(tool+" "+cmp.Or(driver.Version, driver.SemanticVersion)))
	r.sarifInvocations(tool, run.Invocations)
	if run.Results == nil {
		r.gap(Gap{Code: "ScanFailed", Grave: true, Message: driver.Name + " wrote no results, not even an empty list: its run did not get as far", Fix: "look at its log"})
		return nil
	}
	if len(*run.Results) == 0 && (tool == trivy || tool == grype) {
		r.gap(Gap{
			Code: "NoAnswer", Message: fmt.Sprintf("SARIF of %s looks the same after a clean scan and after one that had nothing to look at", driver.Name),
			Fix: "give its JSON, in place of this or beside it",
		})
	}
	for i := range *run.Results {
		result := &(*run.Results)[i]
		if slices.Contains([]string{"pass", "notApplicable", "informational"}, result.Kind) || result.BaselineState == "absent" {
			continue
		}
		f := run.finding(tool, result)
		if reason, suppressed := result.suppressed(); suppressed {
			r.Suppressed = append(r.Suppressed, Suppressed{Scanner: tool, ID: f.ID, Artifact: f.of.name, Package: f.Package, Version: f.Version, Reason: reason})
			continue
		}
		r.Findings = append(r.Findings, f)
	}
	return nil
}

func (r *Report) sarifInvocations(tool string, invocations []sarifInvocation) {
	for i := range invocations {
		v := &invocations[i]
		if v.ExecutionSuccessful != nil && !*v.ExecutionSuccessful {
			r.gap(Gap{Code: "ScanFailed", Grave: true, Message: tool + " says that its run was not successful" + v.reasons(), Fix: "look at its log"})
		} else if text := v.reasons(); text != "" {
			r.gap(Gap{Code: "ScannerWarning", Message: tool + " noted an error" + text})
		}
		if at, err := time.Parse(time.RFC3339, v.EndTimeUTC); err == nil && at.After(r.Created) {
			r.Created = at
		}
	}
}

// reasons are the first of the errors that a tool notes.
func (v *sarifInvocation) reasons() string {
	for i := range v.ToolExecutionNotifications {
		if n := &v.ToolExecutionNotifications[i]; n.Level == "error" {
			return ": " + firstSentence(n.Message.Text)
		}
	}
	return ""
}

// suppressed tells whether all suppressions of a result hold (section 3.27.23): one under review or rejected leaves it open.
func (s *sarifResult) suppressed() (reason string, is bool) {
	if len(s.Suppressions) == 0 {
		return "", false
	}
	for _, one := range s.Suppressions {
		if one.Status != "" && one.Status != "accepted" {
			return "", false
		}
		reason = joined("; ", reason, joined(": ", one.Kind, one.Justification))
	}
	return reason, true
}

// rule finds the rule of a result in the tool or one of its extensions (section 3.52).
func (run *sarifRun) rule(s *sarifResult) sarifRule {
	component, index, id := &run.Tool.Driver, s.RuleIndex, s.RuleID
	if ref := s.Rule; ref != nil {
		id = cmp.Or(id, ref.ID)
		if ref.Index != nil {
			index = ref.Index
		}
		if c := ref.ToolComponent; c != nil && c.Index != nil && *c.Index >= 0 && *c.Index < len(run.Tool.Extensions) {
			component = &run.Tool.Extensions[*c.Index]
		}
	}
	if index != nil && *index >= 0 && *index < len(component.Rules) {
		rule := component.Rules[*index]
		// Tools that went wrong with an index are told by the id.
		if id == "" || rule.ID == id || strings.HasPrefix(id, rule.ID+"/") {
			return rule
		}
	}
	for i := range component.Rules {
		if component.Rules[i].ID == id {
			return component.Rules[i]
		}
	}
	return sarifRule{ID: id}
}

func (run *sarifRun) finding(tool string, s *sarifResult) Finding {
	rule := run.rule(s)
	f := Finding{
		Kind: sarifKind(tool, &rule), ID: cmp.Or(s.RuleID, rule.ID, "(no rule)"), Title: firstSentence(cmp.Or(rule.ShortDescription.Text, s.Message.Text)),
		Link: rule.HelpURI, Scanners: []string{tool}, Fix: Fix{State: FixAvailable}, of: &artifact{},
	}
	severity := sarifSeverity(&rule, s)
	column := 0
	for i := range s.Locations {
		p := &s.Locations[i].PhysicalLocation
		f.Locations = append(f.Locations, locationsOf(uriPath(p.ArtifactLocation.URI), p.Region.StartLine)...)
		column = p.Region.StartColumn
	}
	f.detail = fmt.Sprintf("%s@%d", s.Message.Text, column)
	if f.Kind == Vulnerability {
		f.Fix.State = FixUnknown
	}
	switch tool {
	case trivy:
		severity = f.readTrivyMessage(run, &rule, s.Message.Text, severity)
	case grype:
		severity = f.readGrypeMessage(s, &rule, severity)
	}
	if id := flawID.FindString(f.ID); f.Kind == Vulnerability && id != "" {
		f.ID = id
	}
	f.Ratings = []Rating{{Scanner: tool, Severity: severity, Chosen: true}}
	return f
}

func sarifKind(tool string, rule *sarifRule) Kind {
	switch {
	case tool == trivy && rule.Name == "Misconfiguration":
		return Misconfiguration
	case tool == trivy && rule.Name == "Secret":
		return Secret
	case tool == trivy && rule.Name == "License":
		return License
	case tool == trivy, tool == grype, flawID.MatchString(rule.ID):
		return Vulnerability
	default:
		return Code
	}
}

// sarifSeverity takes the score that code scanning goes by, else a tag that is a severity, else the level. The result's own wins over the rule's.
func sarifSeverity(rule *sarifRule, s *sarifResult) Severity {
	for _, properties := range []map[string]any{s.Properties, rule.Properties} {
		if score, told := properties["security-severity"]; told {
			return severityOfScore(fmt.Sprint(score))
		}
	}
	tags, _ := rule.Properties["tags"].([]any)
	for _, tag := range tags {
		if word, _ := tag.(string); severityOf(word) != Unknown {
			return severityOf(word)
		}
	}
	// "warning" is the default of sections 3.27.10 and 3.50.3.
	switch cmp.Or(s.Level, rule.DefaultConfiguration.Level, "warning") {
	case "error":
		return High
	case "warning":
		return Medium
	case "note":
		return Low
	default:
		return Unknown
	}
}

// readTrivyMessage reads the lines that Trivy's SARIF writes into the message of a result, "Package: …" and so on.
// Its severity is that of the advisory, as in Trivy's JSON; the score of the rule is CVSS's and may be another.
func (f *Finding) readTrivyMessage(run *sarifRun, rule *sarifRule, text string, severity Severity) Severity {
	lines := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), ": "); found && lines[key] == "" {
			lines[key] = strings.TrimSpace(value)
		} else if name, found := strings.CutPrefix(strings.TrimSpace(line), "License "); found {
			lines["License"] = name
		}
	}
	f.of = sarifImage(run.Properties)
	f.detail = ""
	switch f.Kind {
	case Vulnerability:
		f.Package, f.Version = lines["Package"], lines["Installed Version"]
		f.Fix = Fix{State: FixNone}
		if fixed := lines["Fixed Version"]; fixed != "" {
			f.Fix = Fix{State: FixAvailable, Versions: split(fixed)}
		}
		if rule.Name == "OsPackageVulnerability" {
			f.Locations = nil // the image, which is not a place within it
		}
	case Misconfiguration:
		f.detail = lines["Message"]
	case License:
		f.ID, f.Package = cmp.Or(lines["License"], f.ID), lines["PkgName"]
	}
	if word := lines["Severity"]; word != "" {
		return severityOf(word)
	}
	return severity
}

// sarifImage is the image that Trivy names in the properties of a run.
func sarifImage(properties map[string]any) *artifact {
	text := func(key string) string { s, _ := properties[key].(string); return s }
	a := &artifact{name: text("imageName")}
	if id := text("imageID"); id != "" {
		a.ids = append(a.ids, id)
	}
	list, _ := properties["repoDigests"].([]any)
	for _, item := range list {
		reference, _ := item.(string)
		a.ids = append(a.ids, digests([]string{reference})...)
	}
	return a
}

// grypeMessage is how Grype's SARIF words a result (grype/presenter/sarif/presenter.go).
var grypeMessage = regexp.MustCompile(`^An? (\S+) vulnerability in (\S+) package: (.+), version (.*) was found (?:in image (\S+) )?`)

// readGrypeMessage reads package, image and severity from the message, and versions without the flaw from the help of the rule.
func (f *Finding) readGrypeMessage(s *sarifResult, rule *sarifRule, severity Severity) Severity {
	f.detail = ""
	parts := grypeMessage.FindStringSubmatch(s.Message.Text)
	if parts == nil {
		return severity
	}
	// The short one only names flaw, severity and package.
	f.Title = firstSentence(rule.FullDescription.Text)
	f.Package, f.Version, f.of = parts[3], parts[4], &artifact{name: parts[5]}
	if suffix := "-" + f.Package; strings.HasSuffix(f.ID, suffix) {
		f.ID = strings.TrimSuffix(f.ID, suffix)
	}
	if slices.Contains(ofDistribution, parts[2]) {
		f.Locations = nil
	}
	purls, _ := rule.Properties["purls"].([]any)
	if len(purls) == 1 {
		f.PURL, _ = purls[0].(string)
	}
	for line := range strings.Lines(rule.Help.Text) {
		if fixed, found := strings.CutPrefix(line, "Fix Version: "); found && strings.TrimSpace(fixed) != "" {
			f.Fix = Fix{State: FixAvailable, Versions: split(fixed)}
		}
	}
	// The word is that of the advisory, as in Grype's JSON. "low" is also what it writes where it knows none: then there is no score.
	if word := severityOf(parts[1]); word != Low || severity != Unknown {
		return word
	}
	return Unknown
}

// uriPath is the path of a relative reference or a file URI (RFC 8089).
func uriPath(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	if u.Scheme != "" && u.Scheme != "file" {
		return uri
	}
	return u.Path
}
