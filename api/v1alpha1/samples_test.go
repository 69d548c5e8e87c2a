package v1alpha1_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/cluster"
)

var update = flag.Bool("update", false, "write what the valid samples become")

// TestValidSamplesAreAdmittedWithDefaults reads each valid sample as an API
// server would, and compares what it becomes: defaults are part of the API.
func TestValidSamplesAreAdmittedWithDefaults(t *testing.T) {
	for _, file := range samples(t, "valid") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			snapshot, err := cluster.Read([]string{file}, nil, cluster.Options{})
			require.NoError(t, err)
			var becomes any
			switch {
			case len(snapshot.Profiles) == 1:
				becomes = snapshot.Profiles[0]
			case len(snapshot.Rules) == 1:
				becomes = snapshot.Rules[0]
			case len(snapshot.ExternalAccess) == 1:
				becomes = snapshot.ExternalAccess[0]
			case len(snapshot.Exemptions) == 1:
				becomes = snapshot.Exemptions[0]
			default:
				return // what palisade writes itself is checked and passed over
			}
			compareGolden(t, strings.Replace(file, "valid", "defaulted", 1), becomes)
		})
	}
}

// TestInvalidSamplesTellTheUserWhy looks for the message that the first line of each sample promises, and for the right file.
func TestInvalidSamplesTellTheUserWhy(t *testing.T) {
	for _, file := range samples(t, "invalid") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			first, _, _ := strings.Cut(string(text), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			require.True(t, ok, "the first line must be a comment with what is wanted")
			snapshot, err := cluster.Read([]string{file}, nil, cluster.Options{})
			require.Error(t, err)
			assert.Nil(t, snapshot)
			assert.Contains(t, err.Error(), "): "+want)
			assert.True(t, strings.HasPrefix(err.Error(), file+":"), err.Error())
		})
	}
}

func samples(t *testing.T, folder string) []string {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func compareGolden(t *testing.T, file string, value any) {
	got, err := yaml.Marshal(value)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(bytes.TrimSpace(want)), string(bytes.TrimSpace(got)))
}
