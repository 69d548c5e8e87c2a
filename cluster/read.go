package cluster

import (
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/validation"

	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// Options say how to read.
type Options struct {
	// DefaultNamespace is where namespaced objects live that name none; "default" where empty.
	DefaultNamespace string
}

// Read reads files, folders (nested) and "-" (stdin, read once) into a
// Snapshot. In folders it takes *.yaml, *.yml and *.json and leaves out what is
// hidden; a file that is named is read whatever its ending. The error is an
// InputErrors, holding an *InputError for every fault; then there is no Snapshot.
func Read(paths []string, stdin io.Reader, opts Options) (*intent.Snapshot, error) {
	r, err := newReader(opts)
	if err != nil {
		return nil, err
	}
	files, faults := readFiles(paths, stdin)
	snapshot, read, wrong := r.files(files)
	if faults = append(faults, wrong...); read == 0 && len(faults) == 0 {
		faults = noManifests(paths)
	}
	if len(faults) > 0 {
		return nil, faults.sorted(files)
	}
	return snapshot, nil
}

func noManifests(paths []string) InputErrors {
	return InputErrors{{Source: model.Source{File: strings.Join(paths, ", ")}, Message: "no manifests found"}}
}

func newReader(opts Options) (*reader, error) {
	if opts.DefaultNamespace == "" {
		opts.DefaultNamespace = "default"
	}
	if problems := validation.IsDNS1123Label(opts.DefaultNamespace); len(problems) > 0 {
		return nil, InputErrors{{Source: model.Source{File: "default namespace"}, Message: strings.Join(problems, "; ")}}
	}
	own, err := builtInKinds()
	if err != nil {
		return nil, err
	}
	return &reader{namespace: opts.DefaultNamespace, own: own}, nil
}

// files reads the content of files. It also tells how many pieces of it there were to read.
func (r *reader) files(files []file) (*intent.Snapshot, int, InputErrors) {
	items, chunks, faults := r.items(files)
	g := &gatherer{reader: r, items: items}
	snapshot := g.gather()
	return snapshot, chunks, append(faults, g.faults...)
}

// items reads the content of files, object by object.
func (r *reader) items(files []file) (items []*item, chunks int, faults InputErrors) {
	var all []*chunk
	for _, f := range files {
		all = append(all, split(f)...)
	}
	items, faults = collect(all, r.chunks(all))
	return items, len(all), faults
}

// outcome is what one chunk gave.
type outcome struct {
	items     []*item
	faults    InputErrors
	documents int
}

// chunks reads all chunks, in parallel. The outcomes stand in the order of the chunks.
func (r *reader) chunks(chunks []*chunk) []outcome {
	outcomes := make([]outcome, len(chunks))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(chunks)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(chunks); i = int(next.Add(1)) - 1 {
				outcomes[i] = r.chunk(chunks[i])
			}
		})
	}
	workers.Wait()
	return outcomes
}

func (r *reader) chunk(c *chunk) outcome {
	objects, faults, documents := c.objects()
	out := outcome{faults: faults, documents: documents, items: make([]*item, 0, len(objects))}
	for i, o := range objects {
		it, wrong := r.item(o)
		it.chunk, it.number = c, i
		out.faults = append(out.faults, wrong...)
		if len(wrong) == 0 {
			out.items = append(out.items, it)
		}
	}
	return out
}

// collect puts the outcomes together, and turns the count of documents from chunks to files.
func collect(chunks []*chunk, outcomes []outcome) ([]*item, InputErrors) {
	var items []*item
	var faults InputErrors
	before, file := 0, ""
	for i, out := range outcomes {
		if chunks[i].file != file {
			before, file = 0, chunks[i].file
		}
		for _, it := range out.items {
			it.source.Document += before
			items = append(items, it)
		}
		for _, fault := range out.faults {
			fault.Source.Document += before
			faults = append(faults, fault)
		}
		before += out.documents
	}
	return items, faults
}
