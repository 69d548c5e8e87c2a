package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	registryserver "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/image"
)

// built is an image of a platform whose user is named after it.
func built(t testing.TB, os, architecture string) v1.Image {
	t.Helper()
	img, err := random.Image(64, 2)
	require.NoError(t, err)
	file, err := img.ConfigFile()
	require.NoError(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = os, architecture
	file.Config = v1.Config{
		User: architecture, Env: []string{"PGDATA=/data"}, Entrypoint: []string{"/app"}, Cmd: []string{"serve"},
		Volumes: map[string]struct{}{"/b": {}, "/a": {}}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
	}
	img, err = mutate.ConfigFile(img, file)
	require.NoError(t, err)
	return img
}

// several is an index of two platforms with an attestation beside them, as buildx writes it.
func several(t testing.TB) v1.ImageIndex {
	t.Helper()
	add := func(index v1.ImageIndex, os, architecture string, annotations map[string]string) v1.ImageIndex {
		return mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        built(t, os, architecture),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: architecture}, Annotations: annotations},
		})
	}
	index := add(add(empty.Index, "linux", "amd64", nil), "linux", "arm64", nil)
	return add(index, "unknown", "unknown", map[string]string{"vnd.docker.reference.type": "attestation-manifest"})
}

func users(facts []image.Facts) string {
	var list []string
	for _, f := range facts {
		list = append(list, f.Platform+"="+f.Config.User)
	}
	return strings.Join(list, " ")
}

func folderWith(t testing.TB, index v1.ImageIndex) string {
	t.Helper()
	dir := t.TempDir()
	_, err := ocilayout.Write(dir, index)
	require.NoError(t, err)
	return dir
}

// packed is a folder as a tar file.
func packed(t testing.TB, dir string, zipped bool) string {
	t.Helper()
	var out bytes.Buffer
	var to io.WriteCloser = nopCloser{&out}
	if zipped {
		to = gzip.NewWriter(&out)
	}
	files := tar.NewWriter(to)
	require.NoError(t, files.AddFS(os.DirFS(dir)))
	require.NoError(t, files.Close())
	require.NoError(t, to.Close())
	file := filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
	return file
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestImagesAreReadFromWhereverTheyAre(t *testing.T) {
	dir := folderWith(t, several(t))
	server := httptest.NewServer(registryserver.New(registryserver.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	ref, err := name.ParseReference(host + "/shop/web:1.4.0")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(ref, several(t)))

	for name, where := range map[string]string{
		"a folder": dir, "a folder, said so": "oci:" + dir, "an archive": packed(t, dir, false), "a zipped archive": "archive:" + packed(t, dir, true),
		"a registry": host + "/shop/web:1.4.0", "a registry, said so": "registry:" + host + "/shop/web:1.4.0",
	} {
		t.Run(name, func(t *testing.T) {
			facts, err := Read(t.Context(), where, Options{})
			require.NoError(t, err)
			assert.Equal(t, "linux/amd64=amd64 linux/arm64=arm64", users(facts))
			f := facts[0]
			assert.Equal(t, where, f.Name)
			assert.Equal(t, []string{"/a", "/b"}, f.Config.Volumes)
			assert.Equal(t, []string{"80/tcp"}, f.Config.Ports)
			assert.Equal(t, []string{"PGDATA=/data"}, f.Config.Env)
			assert.Len(t, f.Digest, len("sha256:")+64)
			if strings.Contains(name, "registry") {
				assert.Equal(t, host+"/shop/web:1.4.0", f.Reference)
			}
			one, err := Read(t.Context(), where, Options{Platform: "linux/arm64"})
			require.NoError(t, err)
			assert.Equal(t, "linux/arm64=arm64", users(one))
			_, err = Read(t.Context(), where, Options{Platform: "linux/riscv64"})
			assert.ErrorContains(t, err, "no image in it for the platform linux/riscv64")
		})
	}
	one, err := name.ParseReference(host + "/shop/one:1")
	require.NoError(t, err)
	require.NoError(t, remote.Write(one, built(t, "linux", "amd64")))
	facts, err := Read(t.Context(), host+"/shop/one:1", Options{})
	require.NoError(t, err)
	assert.Equal(t, "linux/amd64=amd64", users(facts))
	_, err = Read(t.Context(), host+"/shop/none:1", Options{})
	assert.ErrorContains(t, err, "asking the registry")
}

func TestArchivesOfDockerHaveNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.tar")
	images := map[name.Tag]v1.Image{}
	for tag, architecture := range map[string]string{"shop/web:1.4.0": "amd64", "shop/admin:2": "arm64"} {
		parsed, err := name.NewTag(tag)
		require.NoError(t, err)
		images[parsed] = built(t, "linux", architecture)
	}
	require.NoError(t, tarball.MultiWriteToFile(file, images))
	facts, err := Read(t.Context(), file, Options{})
	require.NoError(t, err)
	names := map[string]string{}
	for _, f := range facts {
		names[f.Config.User] = f.Reference
	}
	assert.Equal(t, map[string]string{"amd64": "shop/web:1.4.0", "arm64": "shop/admin:2"}, names)
	facts, err = Read(t.Context(), file, Options{Reference: "registry.example.com/x:1"})
	require.NoError(t, err)
	assert.Equal(t, "registry.example.com/x:1", facts[0].Reference)
}

func TestLayoutsNameTheirImagesByAnnotations(t *testing.T) {
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: built(t, "linux", "amd64"),
		Descriptor: v1.Descriptor{Annotations: map[string]string{
			"io.containerd.image.name": "registry.example.com/shop/web:1.4.0", "org.opencontainers.image.ref.name": "1.4.0",
		}},
	})
	facts, err := Read(t.Context(), folderWith(t, index), Options{})
	require.NoError(t, err)
	assert.Equal(t, "registry.example.com/shop/web:1.4.0", facts[0].Reference)
}

func TestWhatIsNoImageIsLeftOutOrAnError(t *testing.T) {
	chart := mutate.ConfigMediaType(built(t, "linux", "amd64"), types.MediaType("application/vnd.cncf.helm.config.v1+json"))
	dir := folderWith(t, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: chart}))
	_, err := Read(t.Context(), dir, Options{})
	assert.ErrorContains(t, err, "there is no image in it")

	bad := t.TempDir()
	for name, text := range map[string]string{"a.tar": "no tar", "empty.tar": "", "b.tar.gz": "\x1f\x8b"} {
		require.NoError(t, os.WriteFile(filepath.Join(bad, name), []byte(text), 0o600))
	}
	for where, want := range map[string]string{
		filepath.Join(bad, "a.tar"): "reading the archive", filepath.Join(bad, "empty.tar"): "neither manifest.json", filepath.Join(bad, "b.tar.gz"): "EOF",
		bad: "no OCI layout", filepath.Join(bad, "none.tar"): "no such file", "./none": "no such file", "Not a name": "neither a file nor the name", "oci:" + bad: "index.json", "archive:" + bad: "directory",
	} {
		_, err := Read(t.Context(), where, Options{})
		assert.ErrorContains(t, err, want, where)
	}
}

func TestChangedBlobsAreRefused(t *testing.T) {
	dir := folderWith(t, several(t))
	changed := 0
	require.NoError(t, fs.WalkDir(os.DirFS(dir), "blobs", func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		file := filepath.Join(dir, path)
		if d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(text), `"User":"amd64"`) {
			changed++
			return os.WriteFile(file, bytes.Replace(text, []byte(`"User":"amd64"`), []byte(`"User":"65532"`), 1), 0o600)
		}
		return nil
	}))
	require.Equal(t, 1, changed)
	for _, where := range []string{dir, packed(t, dir, false)} {
		_, err := Read(t.Context(), where, Options{})
		assert.ErrorContains(t, err, "has another digest")
	}
}

// Copying one platform of an index leaves the index as it is, without the blobs of the others.
func TestOnePlatformOfASparseLayoutIsRead(t *testing.T) {
	index := several(t)
	m, err := index.IndexManifest()
	require.NoError(t, err)
	dir := folderWith(t, index)
	require.NoError(t, os.Remove(filepath.Join(dir, "blobs", "sha256", m.Manifests[1].Digest.Hex)))
	_, err = Read(t.Context(), dir, Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	facts, err := Read(t.Context(), dir, Options{Platform: "linux/amd64"})
	require.NoError(t, err)
	assert.Equal(t, "linux/amd64=amd64", users(facts))
}

func TestLayoutsCannotLeadOutOfTheirFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.json")
	require.NoError(t, os.WriteFile(outside, []byte(`{}`), 0o600))
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "index.json")))
	_, err := Read(t.Context(), dir, Options{})
	assert.ErrorContains(t, err, "escapes")
}

func TestIndexesInCirclesEnd(t *testing.T) {
	inner := several(t)
	for range deepest + 2 {
		inner = mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: inner})
	}
	_, err := Read(t.Context(), folderWith(t, inner), Options{})
	assert.ErrorContains(t, err, "too deep")
}

func TestALargeDocumentIsNotRead(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), append([]byte("{"), make([]byte, largestDocument)...), 0o600))
	_, err := Read(t.Context(), dir, Options{})
	assert.ErrorContains(t, err, "more than 8 MiB")
}

func TestAskingEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server := httptest.NewServer(registryserver.New(registryserver.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	_, err := Read(ctx, strings.TrimPrefix(server.URL, "http://")+"/shop/web:1", Options{})
	assert.ErrorIs(t, err, context.Canceled)
}

// Whatever an archive holds: no panic, and no image without a platform.
func FuzzUnpack(f *testing.F) {
	dir := folderWith(f, several(f))
	for _, zipped := range []bool{false, true} {
		data, err := os.ReadFile(packed(f, dir, zipped))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := unpack(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, read := range []func() ([]image.Facts, error){
			func() ([]image.Facts, error) { return readLayout("fuzz", a, Options{}) },
			func() ([]image.Facts, error) { return readDocker("fuzz", a, a["manifest.json"], Options{}) },
		} {
			facts, err := read()
			if err != nil {
				continue
			}
			for _, one := range facts {
				if !strings.Contains(one.Platform, "/") {
					t.Fatalf("no platform: %+v", one)
				}
			}
		}
	})
}
