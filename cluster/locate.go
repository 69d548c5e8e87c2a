package cluster

import (
	"cmp"
	"slices"

	"floe.dev/palisade/model"
)

// Lines finds the lines of fields in files that were read before. It reads each
// file once more, and only those that are asked about.
type Lines struct {
	files map[string]map[place]*object
}

// place tells apart the objects of one file: those of a List stand in one document.
type place struct {
	document int
	ref      model.Ref
}

// Line is the line of the file on which a field of an object stands, or of the
// nearest that it would stand in; that of the source where it cannot be told.
func (l *Lines) Line(source model.Source, ref model.Ref, field string) int {
	if field == "" || source.File == "" || source.File == "-" {
		return source.Line
	}
	objects := l.objects(source.File)
	o := objects[place{source.Document, ref}]
	if o == nil {
		ref.Namespace = "" // it may have been filled in
		o = objects[place{source.Document, ref}]
	}
	if o == nil {
		return source.Line
	}
	return cmp.Or(o.doc.lineOf(append(slices.Clone(o.path), splitPath(field)...)), source.Line)
}

// objects are those of a file; none where it is gone by now.
func (l *Lines) objects(path string) map[place]*object {
	if known, read := l.files[path]; read {
		return known
	}
	found := map[place]*object{}
	files, _ := readFiles([]string{path}, nil)
	documents := 0
	for _, f := range files {
		for _, c := range split(f) {
			objects, _, n := c.objects()
			for _, o := range objects {
				found[place{o.source.Document + documents, o.ref}] = o
			}
			documents += n
		}
	}
	if l.files == nil {
		l.files = map[string]map[place]*object{}
	}
	l.files[path] = found
	return found
}
