package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The bounds of an entry's life.
const (
	// longestExcuse is how far ahead an entry may reach: what is never looked at again is no exception but a rule.
	longestExcuse = 366 * 24 * time.Hour
	// excuseNotice is how long before its end an entry begins to say so.
	excuseNotice = 7 * 24 * time.Hour
)

// IgnoreKind is the kind of an ignore list.
const IgnoreKind = "ScanIgnoreList"

// IgnoreList is a file of flaws that may be there for a time, for a reason.
type IgnoreList struct {
	// File is its name, for messages.
	File    string
	Entries []Ignore
}

// Ignore excuses a flaw until a time. Package, version, artifact and location
// narrow it; a text that ends in "*" stands for all that begins with what is before it.
type Ignore struct {
	// ID is the flaw's, or one of its aliases; for others than vulnerabilities the id of the rule.
	ID       string
	Package  string
	Version  string
	Artifact string
	Location string
	// Reason is why it may be there, and Owner who answers for it.
	Reason string
	Owner  string
	// Expires is the second from which on it no longer counts.
	Expires time.Time
	// Line is where it stands.
	Line int
}

// Excuse is what a finding says of the entry that excuses it.
type Excuse struct {
	Reason  string    `json:"reason"`
	Owner   string    `json:"owner,omitempty"`
	Expires time.Time `json:"expires"`
}

// The shape of the file.
type (
	ignoreFile struct {
		APIVersion string      `yaml:"apiVersion"`
		Kind       string      `yaml:"kind"`
		Ignore     []yaml.Node `yaml:"ignore"`
	}
	ignoreEntry struct {
		ID       string `yaml:"id"`
		Package  string `yaml:"package"`
		Version  string `yaml:"version"`
		Artifact string `yaml:"artifact"`
		Location string `yaml:"location"`
		Reason   string `yaml:"reason"`
		Owner    string `yaml:"owner"`
		Expires  string `yaml:"expires"`
	}
)

// ReadIgnores reads an ignore list (YAML or JSON). Every fault is an error with
// its line, all of them at once: an entry without a reason or an end, one that
// reaches further ahead than a year from at, an unknown field, the same entry twice.
func ReadIgnores(file string, data []byte, at time.Time) (*IgnoreList, error) {
	var f ignoreFile
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file is empty", file)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document", file)
	}
	if f.APIVersion != APIVersion || f.Kind != IgnoreKind {
		return nil, fmt.Errorf("%s: wanted apiVersion: %s and kind: %s", file, APIVersion, IgnoreKind)
	}
	list := &IgnoreList{File: file}
	var faults []error
	seen := map[Ignore]int{}
	for i := range f.Ignore {
		e, err := readIgnore(&f.Ignore[i], at)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", file, f.Ignore[i].Line, err))
			continue
		}
		key := Ignore{ID: strings.ToUpper(e.ID), Package: e.Package, Version: e.Version, Artifact: e.Artifact, Location: e.Location}
		if line := seen[key]; line > 0 {
			faults = append(faults, fmt.Errorf("%s:%d: %s is there already in line %d", file, e.Line, e.ID, line))
		}
		seen[key] = e.Line
		list.Entries = append(list.Entries, e)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return list, nil
}

func readIgnore(node *yaml.Node, at time.Time) (Ignore, error) {
	var y ignoreEntry
	if err := knownFields(node); err != nil {
		return Ignore{}, err
	}
	if err := node.Decode(&y); err != nil {
		return Ignore{}, err
	}
	e := Ignore{ID: y.ID, Package: y.Package, Version: y.Version, Artifact: y.Artifact, Location: y.Location, Reason: strings.TrimSpace(y.Reason), Owner: y.Owner, Line: node.Line}
	switch {
	case e.ID == "" || strings.Contains(e.ID, "*"):
		return e, errors.New("id: wanted one flaw, such as CVE-2023-4911; there is no wildcard")
	case e.Reason == "":
		return e, fmt.Errorf("%s: reason: say why it may be there", e.ID)
	case y.Expires == "":
		return e, fmt.Errorf("%s: expires: say until when, such as 2026-12-31", e.ID)
	}
	for name, text := range map[string]string{"package": e.Package, "artifact": e.Artifact, "location": e.Location} {
		if strings.Contains(strings.TrimSuffix(text, "*"), "*") {
			return e, fmt.Errorf(`%s: %s: "*" may stand at the end only`, e.ID, name)
		}
	}
	end, err := instant(y.Expires)
	switch {
	case err != nil:
		return e, fmt.Errorf("%s: expires: %q is neither a day such as 2026-12-31 (its first second, UTC) nor a time such as 2026-12-31T12:00:00Z (RFC 3339)", e.ID, y.Expires)
	case end.Sub(at) > longestExcuse:
		return e, fmt.Errorf("%s: expires: %s is more than a year ahead", e.ID, y.Expires)
	}
	e.Expires = end
	return e, nil
}

// knownFields refuses what the fields of an entry are not: Node.Decode does not.
func knownFields(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return errors.New("wanted an entry with id, reason and expires")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		switch key := node.Content[i].Value; key {
		case "id", "package", "version", "artifact", "location", "reason", "owner", "expires":
			if seen[key] {
				return fmt.Errorf("%s: is there twice", key)
			}
			seen[key] = true
		default:
			return fmt.Errorf("%s: unknown field", key)
		}
	}
	return nil
}

func instant(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	return time.Parse(time.RFC3339, text)
}

// matches tells whether an entry is for a finding.
func (e *Ignore) matches(f *Finding) bool {
	named := strings.EqualFold(e.ID, f.ID)
	for _, alias := range f.Aliases {
		named = named || strings.EqualFold(e.ID, alias)
	}
	return named && e.matchesPackage(f) && (e.Version == "" || e.Version == f.Version) && e.matchesArtifact(f) && e.matchesPlaces(f)
}

// matchesPackage takes the name as any of the scanners writes it.
func (e *Ignore) matchesPackage(f *Finding) bool {
	return like(e.Package, f.Package) || like(packageKey(e.Package), f.packageKey())
}

func (e *Ignore) matchesArtifact(f *Finding) bool {
	return like(e.Artifact, f.Artifact) || like(artifactName(e.Artifact), f.Artifact)
}

// matchesPlaces demands that every place is meant: an entry for one file does not excuse another.
func (e *Ignore) matchesPlaces(f *Finding) bool {
	if e.Location == "" {
		return true
	}
	for _, l := range f.Locations {
		if !like(tidyPath(e.Location), l.Path) {
			return false
		}
	}
	return len(f.Locations) > 0
}

// like matches a text with a pattern: empty matches all, "shop/*" what begins with "shop/".
func like(pattern, text string) bool {
	if beginning, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(text, beginning)
	}
	return pattern == "" || pattern == text
}
