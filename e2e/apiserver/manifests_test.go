package apiserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// read reads the manifests of files and folders.
func read(t *testing.T, paths []string) []*object {
	t.Helper()
	var objects []*object
	for _, path := range paths {
		require.NoError(t, filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(file) != ".yaml" {
				return err
			}
			text, err := os.ReadFile(file)
			objects = append(objects, decode(t, text)...)
			return err
		}))
	}
	return objects
}

// decode reads the documents of a text.
func decode(t *testing.T, text []byte) []*object {
	t.Helper()
	var objects []*object
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		data, err := yaml.YAMLToJSON(document)
		require.NoError(t, err)
		if string(data) != "null" {
			o := &object{}
			require.NoError(t, o.UnmarshalJSON(data))
			objects = append(objects, o)
		}
	}
}

// write puts a text into a file of the test's own.
func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}
