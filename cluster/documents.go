package cluster

import (
	"io"
)

// Text is a file of manifests as it was written.
type Text struct {
	// Path as the user gave it, joined with what was found below; "-" for standard input.
	Path string
	Data []byte
	// Documents are the parts of Data that hold something, in their order.
	Documents []Document
}

// Document is one YAML document of a Text, or a stream of JSON values.
type Document struct {
	// Begin and End are offsets in Data, Line the line on which it begins, from 1.
	Begin, End, Line int
}

// Texts reads the same files as Read, for whoever changes them. The error is an InputErrors.
func Texts(paths []string, stdin io.Reader) ([]Text, error) {
	files, faults := readFiles(paths, stdin)
	if len(faults) > 0 {
		return nil, faults.sorted(files)
	}
	texts := make([]Text, 0, len(files))
	for _, f := range files {
		t := Text{Path: f.path, Data: f.data}
		for _, c := range split(f) {
			t.Documents = append(t.Documents, Document{Begin: c.begin, End: c.begin + len(c.text), Line: c.line})
		}
		texts = append(texts, t)
	}
	return texts, nil
}
