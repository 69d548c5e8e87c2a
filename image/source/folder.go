package source

import (
	"errors"
	"fmt"
	"io"
	"os"

	"floe.dev/palisade/image"
)

// folder is a layout on disk; links that lead out of it are refused.
type folder struct{ root *os.Root }

func readFolder(name, path string, o Options) (facts []image.Facts, err error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return readLayout(name, folder{root}, o)
}

func (f folder) read(path string) (text []byte, err error) {
	file, err := f.root.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return bounded(file, path)
}

// bounded reads a document of a size that one may have.
func bounded(r io.Reader, path string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, largestDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(text) > largestDocument {
		return nil, fmt.Errorf("%s: more than %d MiB, which no manifest or configuration has", path, largestDocument>>20)
	}
	return text, nil
}
