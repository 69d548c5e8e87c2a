package source

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"floe.dev/palisade/image"
)

// readRegistry asks a registry, with the credentials of docker login where there are some.
func readRegistry(ctx context.Context, given, reference string, o Options) ([]image.Facts, error) {
	if _, err := image.ParseReference(reference); err != nil {
		return nil, fmt.Errorf("neither a file nor the name of an image: %w", err)
	}
	var strictness []name.Option
	if o.Insecure {
		strictness = append(strictness, name.Insecure)
	}
	ref, err := name.ParseReference(reference, strictness...)
	if err != nil {
		return nil, err
	}
	d, err := remote.Get(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("palisade"))
	if err != nil {
		return nil, fmt.Errorf("asking the registry: %w", err)
	}
	r := &registry{given: given, reference: reference, o: o}
	if d.MediaType.IsIndex() {
		index, err := d.ImageIndex()
		if err != nil {
			return nil, err
		}
		err = r.index(index, 0)
		return r.facts, err
	}
	img, err := d.Image()
	if err != nil {
		return nil, err
	}
	err = r.add(img, d.Digest)
	return r.facts, err
}

// registry gathers what one name stands for.
type registry struct {
	given, reference string
	o                Options
	facts            []image.Facts
}

func (r *registry) index(index v1.ImageIndex, depth int) error {
	if depth > deepest {
		return fmt.Errorf("its indexes are too deep in each other")
	}
	m, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for i := range m.Manifests {
		d := &m.Manifests[i]
		if attests(d) || r.o.leavesOut(d.Platform) {
			continue
		}
		if d.MediaType.IsIndex() {
			inner, err := index.ImageIndex(d.Digest)
			if err == nil {
				err = r.index(inner, depth+1)
			}
			if err != nil {
				return err
			}
			continue
		}
		img, err := index.Image(d.Digest)
		if err == nil {
			err = r.add(img, d.Digest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *registry) add(img v1.Image, digest v1.Hash) error {
	m, err := img.Manifest()
	if err != nil {
		return err
	}
	if !m.Config.MediaType.IsConfig() {
		return nil
	}
	if m.Config.Size > largestDocument || len(r.facts) == mostImages {
		return fmt.Errorf("more than %d images, or a configuration of more than %d MiB", mostImages, largestDocument>>20)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	facts, err := factsOfFile(file)
	if err != nil {
		return err
	}
	if r.o.Platform != "" && !same(r.o.Platform, facts.Platform) {
		return nil
	}
	facts.Name, facts.Reference, facts.Digest = r.given, r.reference, digest.String()
	r.facts = append(r.facts, facts)
	return nil
}
