// Package source reads the configuration of images: from a registry, from an
// archive (of docker save, or an OCI layout in a tar file), or from an OCI layout in
// a folder. Layers are not read. What it reads is held to its digest, and bounded.
package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"floe.dev/palisade/image"
)

// Bounds of what is read.
const (
	// largestDocument is the most that a manifest, an index or a configuration may have, in bytes. Registries refuse manifests above 4 MiB.
	largestDocument = 8 << 20
	// mostImages is how many images one name may stand for, and mostDocuments how many documents an archive may hold.
	mostImages, mostDocuments = 64, 4096
	// deepest is how far an index may hold others.
	deepest = 4
)

// Options are how images are read.
type Options struct {
	// Platform picks one of an index, such as "linux/arm64"; empty takes all.
	Platform string
	// Reference is the name of what is in an archive or a folder, where these do not tell.
	Reference string
	// Insecure lets a registry be asked without TLS.
	Insecure bool
}

// Read reads what a name stands for: "oci:FOLDER", "archive:FILE", "registry:NAME", or
// one of these without its prefix where it is plain which. An index stands for an
// image of each platform; attestations are left out.
func Read(ctx context.Context, name string, o Options) ([]image.Facts, error) {
	facts, err := read(ctx, name, o)
	if err == nil && len(facts) == 0 {
		err = errors.New("there is no image in it" + o.ofPlatform())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return facts, nil
}

func (o Options) ofPlatform() string {
	if o.Platform == "" {
		return ""
	}
	return " for the platform " + o.Platform
}

func read(ctx context.Context, name string, o Options) ([]image.Facts, error) {
	kind, rest, prefixed := strings.Cut(name, ":")
	switch {
	case prefixed && kind == "oci":
		return readFolder(name, rest, o)
	case prefixed && kind == "archive":
		return readArchive(name, rest, o)
	case prefixed && kind == "registry":
		return readRegistry(ctx, name, rest, o)
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		if _, err := os.Stat(filepath.Join(name, "oci-layout")); err == nil {
			return readFolder(name, name, o)
		}
		if looksLikePath(name) {
			return nil, errors.New("a folder that is no OCI layout: it has no file oci-layout")
		}
	case err == nil:
		return readArchive(name, name, o)
	case looksLikePath(name):
		return nil, errors.New("there is no such file or folder")
	}
	return readRegistry(ctx, name, name, o)
}

func looksLikePath(name string) bool {
	for _, end := range []string{".tar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".")
}

// documents are the small files of a layout, by their path in it.
type documents interface {
	read(path string) ([]byte, error)
}

// layout reads the images of an OCI layout.
type layout struct {
	name  string
	o     Options
	from  documents
	facts []image.Facts
}

// readLayout begins with index.json (OCI image specification, image-layout.md).
func readLayout(name string, from documents, o Options) ([]image.Facts, error) {
	text, err := from.read("index.json")
	if err != nil {
		return nil, err
	}
	l := &layout{name: name, o: o, from: from}
	if err := l.index(text, "", 0); err != nil {
		return nil, err
	}
	return l.facts, nil
}

// referenceOf is the name that an annotation gives: containerd's has the whole, that of the specification often the tag only.
func referenceOf(annotations map[string]string, otherwise string) string {
	for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
		if name := annotations[key]; strings.ContainsAny(name, "/:") {
			return name
		}
	}
	return otherwise
}

func (l *layout) index(text []byte, reference string, depth int) error {
	if depth > deepest {
		return errors.New("its indexes are too deep in each other")
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("reading an index: %w", err)
	}
	for i := range index.Manifests {
		d := &index.Manifests[i]
		// Of the others a layout may hold no blobs: copying one platform of an index leaves the index as it is.
		if attests(d) || !d.MediaType.IsIndex() && l.o.leavesOut(d.Platform) {
			continue
		}
		document, err := l.blob(d.Digest)
		if err != nil {
			return err
		}
		named := referenceOf(d.Annotations, reference)
		if d.MediaType.IsIndex() {
			err = l.index(document, named, depth+1)
		} else {
			err = l.manifest(d.Digest, document, named)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// attests tells a statement about an image from an image.
func attests(d *v1.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] != "" || d.Platform != nil && d.Platform.OS == "unknown" || d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig()
}

// leavesOut tells whether a platform, where it is known beforehand, is not the one that is asked for.
func (o Options) leavesOut(p *v1.Platform) bool {
	return o.Platform != "" && p != nil && !same(o.Platform, platformOf(p.OS, p.Architecture, p.Variant))
}

// same compares platforms; without a variant any is meant.
func same(wanted, is string) bool { return is == wanted || strings.HasPrefix(is, wanted+"/") }

func platformOf(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "/")
}

func (l *layout) manifest(digest v1.Hash, text []byte, reference string) error {
	var m v1.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("reading the manifest %s: %w", digest, err)
	}
	if !m.Config.MediaType.IsConfig() {
		return nil // a chart, a signature, or another thing that no node runs
	}
	document, err := l.blob(m.Config.Digest)
	if err != nil {
		return err
	}
	return l.add(document, digest.String(), reference)
}

// add takes in an image by its configuration.
func (l *layout) add(document []byte, digest, reference string) error {
	facts, err := factsOf(document)
	switch {
	case err != nil:
		return err
	case l.o.Platform != "" && !same(l.o.Platform, facts.Platform):
		return nil
	case len(l.facts) == mostImages:
		return fmt.Errorf("more than %d images", mostImages)
	}
	facts.Name, facts.Digest, facts.Reference = l.name, digest, reference
	if l.o.Reference != "" {
		facts.Reference = l.o.Reference
	}
	l.facts = append(l.facts, facts)
	return nil
}

// blob reads what a digest stands for, and holds it to it.
func (l *layout) blob(digest v1.Hash) ([]byte, error) {
	if digest.Algorithm != "sha256" || len(digest.Hex) != 2*sha256.Size {
		return nil, fmt.Errorf("the digest %q is not one of SHA-256", digest)
	}
	text, err := l.from.read("blobs/sha256/" + digest.Hex)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != digest.Hex {
		return nil, fmt.Errorf("the blob %s has another digest: it was changed, or is not whole", digest)
	}
	return text, nil
}

// factsOf reads a configuration.
func factsOf(document []byte) (image.Facts, error) {
	var file v1.ConfigFile
	if err := json.Unmarshal(document, &file); err != nil {
		return image.Facts{}, fmt.Errorf("reading the configuration: %w", err)
	}
	return factsOfFile(&file)
}

func factsOfFile(file *v1.ConfigFile) (image.Facts, error) {
	if file.OS == "" || file.Architecture == "" {
		return image.Facts{}, errors.New("reading the configuration: it names no os and architecture, so it is not that of an image")
	}
	c := &file.Config
	facts := image.Facts{Platform: platformOf(file.OS, file.Architecture, file.Variant), Config: image.Config{
		User: c.User, WorkingDir: c.WorkingDir, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd,
		Volumes: slices.Sorted(maps.Keys(c.Volumes)), Ports: slices.Sorted(maps.Keys(c.ExposedPorts)),
	}}
	for _, step := range file.History {
		facts.Config.History = append(facts.Config.History, step.CreatedBy)
	}
	return facts, nil
}
