package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// read returns the members of a tar.
func read(t *testing.T, from io.Reader) map[string][]byte {
	t.Helper()
	members := map[string][]byte{}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NotContains(t, members, h.Name, "a member twice")
		members[h.Name] = text
	}
}

func TestArchiveHoldsEveryLayerOnceUnderItsDigest(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	require.NoError(t, os.WriteFile(program, []byte("program"), 0o600))
	base := filepath.Join(folder, "base.tar")
	require.NoError(t, os.WriteFile(base, make([]byte, 1024), 0o600)) // a tar of nothing
	images := []image{
		{reference: "localhost/a:1", base: base, files: map[string]string{"/usr/bin/a": program}, entrypoint: []string{"/usr/bin/a"}, user: "65532:65532"},
		{reference: "localhost/b:1", base: base, files: map[string]string{"/usr/bin/a": program}},
	}
	first, second := filepath.Join(folder, "first.tar"), filepath.Join(folder, "second.tar")
	require.NoError(t, archive(first, images))
	require.NoError(t, archive(second, images))
	text, err := os.ReadFile(first)
	require.NoError(t, err)
	again, err := os.ReadFile(second)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(text, again), "the same images give the same bytes")

	members := read(t, bytes.NewReader(text))
	var manifest []savedImage
	require.NoError(t, json.Unmarshal(members["manifest.json"], &manifest))
	require.Len(t, manifest, 2)
	assert.Equal(t, manifest[0].Layers, manifest[1].Layers)
	for i, saved := range manifest {
		assert.Equal(t, []string{images[i].reference}, saved.RepoTags)
		var config savedConfig
		require.NoError(t, json.Unmarshal(members[saved.Config], &config))
		assert.Equal(t, images[i].user, config.Config.User)
		assert.Equal(t, images[i].entrypoint, config.Config.Entrypoint)
		require.Len(t, config.RootFS.DiffIDs, 2)
		for j, layer := range saved.Layers {
			sum := sha256.Sum256(members[layer])
			assert.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), config.RootFS.DiffIDs[j])
		}
		own := read(t, bytes.NewReader(members[saved.Layers[1]]))
		assert.Equal(t, map[string][]byte{"usr/": {}, "usr/bin/": {}, "usr/bin/a": []byte("program")}, own)
	}
	left, err := filepath.Glob(filepath.Join(folder, "layer-*"))
	require.NoError(t, err)
	assert.Empty(t, left, "what was written on the way is removed")
}

func TestAnImageOfAMissingProgramIsAnError(t *testing.T) {
	err := archive(filepath.Join(t.TempDir(), "a.tar"), []image{{reference: "localhost/a:1", files: map[string]string{"/a": "/nowhere/a"}}})
	assert.ErrorIs(t, err, os.ErrNotExist)
}
