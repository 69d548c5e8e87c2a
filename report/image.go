package report

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"floe.dev/palisade/image"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

// imagesURL is the page that explains what is found of images; an anchor follows.
const imagesURL = toolURL + "/docs/images.md#"

// ImageDocument is what palisade image -o json prints. Its schema is docs/schemas/image-report.json.
type ImageDocument struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Summary    ImageSummary   `json:"summary"`
	Images     []image.Result `json:"images"`
}

// ImageSummary counts faults by severity.
type ImageSummary struct {
	Images int             `json:"images"`
	Faults plan.BySeverity `json:"faults"`
	// Incomplete tells that some image could not be judged in all.
	Incomplete bool `json:"incomplete"`
}

// Images is what images came to, to be shown.
type Images []image.Result

// Summary counts.
func (list Images) Summary() ImageSummary {
	s := ImageSummary{Images: len(list)}
	for i := range list {
		s.Incomplete = s.Incomplete || list[i].Incomplete
		for _, f := range list[i].Faults {
			s.Faults.Add(f.Severity)
		}
	}
	return s
}

// Reaches tells whether a fault is at least as grave as a severity.
func (list Images) Reaches(least model.Severity) bool {
	for i := range list {
		for _, f := range list[i].Faults {
			if f.Severity.Rank() >= least.Rank() {
				return true
			}
		}
	}
	return false
}

// Document is the result for machines.
func (list Images) Document() ImageDocument {
	return ImageDocument{APIVersion: apiVersion, Kind: "ImageReport", Summary: list.Summary(), Images: append([]image.Result{}, list...)}
}

// Text is the result for people.
func (list Images) Text(paint Paint) []byte {
	var out bytes.Buffer
	for i := range list {
		r := &list[i]
		heading := fmt.Sprintf("%s (%s)", r.Name, r.Platform)
		if r.Reference != "" && r.Reference != strings.TrimPrefix(r.Name, "registry:") {
			heading = fmt.Sprintf("%s: %s (%s)", r.Name, r.Reference, r.Platform)
		}
		fmt.Fprintf(&out, "%s\n", painted(paint, "title", plain(heading)))
		fmt.Fprintf(&out, "  user: %s\n", plain(cmp.Or(r.Config.User, "none, which is root")))
		for _, w := range r.Writes {
			fmt.Fprintf(&out, "  writes: %s (%s)\n", plain(w.Path), plain(w.Why))
		}
		for _, f := range r.Faults {
			fmt.Fprintf(&out, "  %s: %s\n", painted(paint, string(f.Severity), string(f.Severity)+" "+f.Code), plain(f.Message))
			if f.Severity != model.Info {
				fmt.Fprintf(&out, "    why: %s\n    fix: %s\n    %s\n", f.Why, f.Fix, painted(paint, "quiet", imagesURL+strings.ToLower(f.Code)))
			}
		}
		out.WriteByte('\n')
	}
	s := list.Summary()
	text := fmt.Sprintf("%s: %s", count(s.Images, "image"), s.Faults.Describe("faults"))
	if s.Incomplete {
		text += " · not everything could be judged"
	}
	fmt.Fprintf(&out, "%s\n", painted(paint, "title", text))
	return out.Bytes()
}
