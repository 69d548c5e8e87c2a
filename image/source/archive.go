package source

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"floe.dev/palisade/image"
)

// archive are the documents of a tar file, by their paths. Layers are passed over.
type archive map[string][]byte

func (a archive) read(path string) ([]byte, error) {
	text, found := a[path]
	if !found {
		return nil, fmt.Errorf("%s is not in the archive", path)
	}
	return text, nil
}

func readArchive(name, file string, o Options) (facts []image.Facts, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a, err := unpack(f)
	if err != nil {
		return nil, err
	}
	// Docker's own list has the names; what newer versions write has both.
	if list, found := a["manifest.json"]; found {
		return readDocker(name, a, list, o)
	}
	if _, found := a["index.json"]; found {
		return readLayout(name, a, o)
	}
	return nil, errors.New("an archive with neither manifest.json (docker save) nor index.json (OCI layout)")
}

// unpack keeps what is JSON, of the size of a document.
func unpack(r io.Reader) (archive, error) {
	in := bufio.NewReader(r)
	if magic, err := in.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReader(unzipped)
	}
	a := archive{}
	kept := 0
	for files := tar.NewReader(in); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the archive: %w", err)
		}
		if header.Typeflag != tar.TypeReg || header.Size > largestDocument {
			continue
		}
		content := bufio.NewReader(files)
		if first, err := content.Peek(1); err != nil || first[0] != '{' && first[0] != '[' {
			continue
		}
		text, err := bounded(content, header.Name)
		if err != nil {
			return nil, err
		}
		if kept += len(text); len(a) == mostDocuments || kept > 8*largestDocument {
			return nil, errors.New("the archive holds more documents than images have")
		}
		a[path.Clean(header.Name)] = text
	}
}

// readDocker reads the list of docker save (moby, image/spec/spec-1.2.md): a configuration and the names of each image.
func readDocker(name string, a archive, list []byte, o Options) ([]image.Facts, error) {
	var images []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(list, &images); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w", err)
	}
	l := &layout{name: name, o: o, from: a}
	for _, one := range images {
		document, err := a.read(path.Clean(one.Config))
		if err != nil {
			return nil, err
		}
		tags := one.RepoTags
		if len(tags) == 0 || o.Reference != "" {
			tags = []string{""}
		}
		for _, tag := range tags {
			if err := l.add(document, "", tag); err != nil {
				return nil, err
			}
		}
	}
	return l.facts, nil
}
