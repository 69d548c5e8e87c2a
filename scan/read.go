package scan

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"

	"sigs.k8s.io/json"
)

// Read reads the report of a scanner; file is its name, for messages. The format
// is told from the content. It is an error where the bytes are not a whole report
// of a known format: nothing can be said then of what was scanned.
func Read(file string, data []byte) (*Report, error) {
	r, err := read(file, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

func read(file string, data []byte) (*Report, error) {
	data, err := utf8Of(data)
	if err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(data)
	switch {
	case len(text) == 0:
		return nil, errors.New("the file is empty: the scanner wrote nothing, so it failed or was stopped; look at its log")
	case text[0] == '[':
		return nil, errors.New("a list: Trivy before 0.20 wrote such reports (schema 1), and they cannot be told from others; use a newer one")
	}
	var top map[string]raw
	if err := decode(text, &top); err != nil {
		return nil, err
	}
	r := &Report{File: file}
	_, runs := top["runs"]
	_, matches := top["matches"]
	_, resources := top["Resources"]
	_, findings := top["Findings"]
	_, cluster := top["ClusterName"]
	switch {
	case runs:
		err = readSARIF(r, text)
	case matches:
		err = readGrype(r, text)
	case cluster || resources || findings:
		err = readTrivyCluster(r, text)
	case has(top, "SchemaVersion") || has(top, "ArtifactName"):
		err = readTrivy(r, text)
	default:
		err = notAReport(top)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func has(top map[string]raw, key string) bool { _, ok := top[key]; return ok }

// raw is JSON that is read later, or not at all.
type raw struct{ text []byte }

// UnmarshalJSON keeps the text.
func (r *raw) UnmarshalJSON(text []byte) error { r.text = bytes.Clone(text); return nil }

// notAReport says what a file is that is no report.
func notAReport(top map[string]raw) error {
	switch {
	case has(top, "bomFormat") || has(top, "spdxVersion"):
		return errors.New("an SBOM says what is there and not what is wrong with it: scan it first (trivy sbom, grype sbom:) and give that report")
	case has(top, "descriptor"):
		return errors.New("a report of Grype without matches: it was cut short, or is of another version")
	case has(top, "@context"):
		return errors.New("a VEX document: give it to the scanner (trivy --vex, grype --vex) and give its report here")
	default:
		return errors.New("not a report that is known: wanted Trivy's JSON (schema 2), Grype's JSON or SARIF 2.1.0")
	}
}

// decode reads one JSON document, field names being case sensitive.
func decode(text []byte, into any) error {
	err := json.UnmarshalCaseSensitivePreserveInts(text, into)
	if err == nil {
		return nil
	}
	if syntax, offset := json.SyntaxErrorOffset(err); syntax {
		if offset >= int64(len(text)) {
			return errors.New("the JSON ends in the middle: the scanner was stopped, or the file was cut short")
		}
		return fmt.Errorf("not one JSON document (%w at byte %d): is the scanner's log in the file, or more than one report?", err, offset)
	}
	return fmt.Errorf("the report is not of the shape that is known: %w", err)
}

// utf8Of takes off a byte order mark, and reads the UTF-16 that PowerShell writes with ">".
func utf8Of(data []byte) ([]byte, error) {
	little, big := bytes.HasPrefix(data, []byte{0xFF, 0xFE}), bytes.HasPrefix(data, []byte{0xFE, 0xFF})
	if !little && !big {
		return bytes.TrimPrefix(data, []byte{0xEF, 0xBB, 0xBF}), nil
	}
	data = data[2:]
	if len(data)%2 != 0 {
		return nil, errors.New("the UTF-16 ends in the middle of a character")
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 0; i < len(data); i += 2 {
		if little {
			units = append(units, uint16(data[i])|uint16(data[i+1])<<8)
		} else {
			units = append(units, uint16(data[i+1])|uint16(data[i])<<8)
		}
	}
	return []byte(string(utf16.Decode(units))), nil
}

// flawID finds the id of a flaw at the beginning of a text, such as that of Grype's rules, "CVE-2023-4911-libc6".
var flawID = regexp.MustCompile(`^(?i)(CVE-\d{4}-\d{4,}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3})`)

func isCVE(id string) bool { return strings.HasPrefix(strings.ToUpper(id), "CVE-") }

// tidyPath is a path within an artifact: no leading "/" or "./", and inner archives after a "/" (Syft writes ":").
func tidyPath(path string) string {
	path = strings.ReplaceAll(path, "\\", "/")
	for strings.HasPrefix(path, "./") || strings.HasPrefix(path, "/") {
		path = strings.TrimPrefix(strings.TrimPrefix(path, "."), "/")
	}
	return path
}

// locationsOf is a list of one path, or none.
func locationsOf(path string, line int) []Location {
	if path = tidyPath(path); path == "" || path == "." {
		return nil
	}
	return []Location{{Path: path, Line: line}}
}
