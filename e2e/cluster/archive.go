package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// An image is made of at most two layers: a base, and files.
type image struct {
	// reference has a registry, or others put one before it: localhost/palisade:e2e.
	reference string
	// base is a tar of a root folder; empty for an image from scratch.
	base string
	// files are programs of the machine, by their absolute path in the image.
	files map[string]string
	// entrypoint, user ("65532:65532"; empty for root).
	entrypoint []string
	user       string
}

// The form of `docker save`, which Docker and containerd read:
// github.com/moby/moby, image/spec/spec.md (v1.2).
type (
	savedImage struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	savedConfig struct {
		Architecture string      `json:"architecture"`
		OS           string      `json:"os"`
		Created      time.Time   `json:"created"`
		Config       savedRun    `json:"config"`
		RootFS       savedRootFS `json:"rootfs"`
	}
	savedRun struct {
		Entrypoint []string `json:",omitempty"`
		User       string   `json:",omitempty"`
		Env        []string
	}
	savedRootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
)

// archive writes images into one file in the form of `docker save`. The same images give the same bytes.
func archive(file string, images []image) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := &archiver{tar: tar.NewWriter(f), layers: map[string]string{}, scratch: filepath.Dir(file)}
	var manifest []savedImage
	for _, i := range images {
		saved, err := w.image(i)
		if err != nil {
			return fmt.Errorf("image %s: %w", i.reference, err)
		}
		manifest = append(manifest, saved)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if err := w.member("manifest.json", int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	return w.tar.Close()
}

type archiver struct {
	tar *tar.Writer
	// layers are those written so far: the digest by the file of a base.
	layers  map[string]string
	scratch string
}

func (w *archiver) image(i image) (savedImage, error) {
	var layers []string
	if i.base != "" {
		digest, ok := w.layers[i.base]
		if !ok {
			var err error
			if digest, err = w.layer(i.base); err != nil {
				return savedImage{}, err
			}
			w.layers[i.base] = digest
		}
		layers = append(layers, digest)
	}
	own, err := w.ownLayer(i)
	if err != nil {
		return savedImage{}, err
	}
	layers = append(layers, own)

	config := savedConfig{
		Architecture: runtime.GOARCH, OS: "linux", Created: time.Unix(0, 0).UTC(),
		Config: savedRun{
			Entrypoint: i.entrypoint, User: i.user,
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
		RootFS: savedRootFS{Type: "layers"},
	}
	saved := savedImage{RepoTags: []string{i.reference}}
	for _, digest := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, "sha256:"+digest)
		saved.Layers = append(saved.Layers, digest+".tar")
	}
	text, err := json.Marshal(config)
	if err != nil {
		return savedImage{}, err
	}
	sum := sha256.Sum256(text)
	saved.Config = hex.EncodeToString(sum[:]) + ".json"
	return saved, w.member(saved.Config, int64(len(text)), bytes.NewReader(text))
}

// ownLayer writes the layer of the image's files, and returns its digest.
func (w *archiver) ownLayer(i image) (string, error) {
	f, err := os.CreateTemp(w.scratch, "layer-*.tar")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := writeLayer(f, i.files); err != nil {
		_ = f.Close()
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return w.layer(f.Name())
}

// writeLayer writes files, and the folders above them, with the times and owners of nobody's machine.
func writeLayer(to io.Writer, files map[string]string) error {
	w := tar.NewWriter(to)
	made := map[string]bool{}
	for _, in := range slices.Sorted(maps.Keys(files)) {
		name := strings.TrimPrefix(in, "/")
		for _, folder := range foldersAbove(name) {
			if made[folder] {
				continue
			}
			made[folder] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
				return err
			}
		}
		if err := writeFile(w, name, files[in], 0o755); err != nil {
			return err
		}
	}
	return w.Close()
}

func writeFile(w *tar.Writer, name, source string, mode int64) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: info.Size(), ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// foldersAbove are usr and usr/bin for usr/bin/env.
func foldersAbove(name string) []string {
	var all []string
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		all = append([]string{folder}, all...)
	}
	return all
}

// layer copies a tar as a layer, unless a layer of the same contents was written, and returns its digest.
func (w *archiver) layer(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return "", err
	}
	digest := hex.EncodeToString(h.Sum(nil))
	if w.layers["sha256:"+digest] != "" {
		return digest, nil
	}
	w.layers["sha256:"+digest] = digest
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return digest, w.member(digest+".tar", size, f)
}

func (w *archiver) member(name string, size int64, from io.Reader) error {
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(w.tar, from)
	return err
}
