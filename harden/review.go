package harden

import (
	"encoding/base64"
	"encoding/json"
)

// Review is a request of an API server about a pod (k8s.io/api/admission/v1 AdmissionReview), as far as it counts here.
type Review struct {
	UID, Namespace, Operation, SubResource string
	// Kind is that of the object, with its group.
	Group, Kind string
	// Pod is nil where there is none, as on deletion.
	Pod *Pod
}

// ReadReview reads a request; it shares the text. The error is ErrNotJSON.
func ReadReview(text string) (Review, error) {
	var r Review
	s := &scanner{text: text}
	s.object(func(name string) {
		if name == "request" {
			s.object(func(name string) { r.read(s, name) })
		}
	})
	if s.bad || s.peek() != 0 || r.UID == "" {
		return Review{}, ErrNotJSON
	}
	return r, nil
}

func (r *Review) read(s *scanner, name string) {
	switch name {
	case "uid":
		r.UID = s.str()
	case "namespace":
		r.Namespace = s.str()
	case "operation":
		r.Operation = s.str()
	case "subResource":
		r.SubResource = s.str()
	case "kind":
		s.object(func(name string) {
			switch name {
			case "group":
				r.Group = s.str()
			case "kind":
				r.Kind = s.str()
			}
		})
	case "object":
		if s.peek() == '{' {
			r.Pod = &Pod{}
			r.Pod.read(s)
		}
	}
}

// Creates tells whether a pod is created.
func (r *Review) Creates() bool {
	return r.Operation == "CREATE" && r.Kind == "Pod" && r.Group == "" && r.SubResource == "" && r.Pod != nil
}

// The most that is warned of: an API server cuts off what is beyond 4 KiB.
const maxWarnings = 8

// AppendAnswer appends the answer to a request: the pod is let in, with the changes. What it keeps
// is warned of where no controller made it, since nobody reads what controllers are told.
func AppendAnswer(out []byte, r *Review, result Result) []byte {
	out = append(out, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	out = append(out, quoted(r.UID)...)
	out = append(out, `,"allowed":true`...)
	if len(result.Changes) > 0 {
		patch := make([]byte, 0, 256+160*len(result.Changes))
		out = append(out, `,"patchType":"JSONPatch","patch":"`...)
		out = base64.StdEncoding.AppendEncode(out, Patch(patch, result.Changes))
		out = append(out, '"')
	}
	if len(result.Kept) > 0 && r.Pod != nil && r.Pod.Owner == "" {
		var warnings []string
		for _, k := range result.Kept[:min(len(result.Kept), maxWarnings)] {
			warnings = append(warnings, k.String())
		}
		if data, err := json.Marshal(warnings); err == nil { // strings always have JSON
			out = append(append(out, `,"warnings":`...), data...)
		}
	}
	return append(out, `}}`...)
}
