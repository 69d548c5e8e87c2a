package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func hardened() Facts {
	return Facts{Reference: "registry.example.com/shop/web:1.4.0" + digest, Platform: "linux/amd64", Config: Config{User: "65532:65532", WorkingDir: "/app", Entrypoint: []string{"/app/web"}}}
}

func codes(r Result) string {
	var list []string
	for _, f := range r.Faults {
		list = append(list, string(f.Severity)+" "+f.Code)
	}
	return strings.Join(list, ", ")
}

// Features: G12.
func TestWhatIsFoundOfAConfiguration(t *testing.T) {
	tests := map[string]struct {
		change func(*Facts)
		want   string
	}{
		"a hardened image":     {func(*Facts) {}, ""},
		"no user":              {func(f *Facts) { f.Config.User = "" }, "error RunsAsRoot"},
		"root":                 {func(f *Facts) { f.Config.User = "root" }, "error RunsAsRoot"},
		"root by group":        {func(f *Facts) { f.Config.User = "root:1000" }, "error RunsAsRoot"},
		"nought":               {func(f *Facts) { f.Config.User = "0:0" }, "error RunsAsRoot"},
		"nought, written long": {func(f *Facts) { f.Config.User = "000" }, "error RunsAsRoot"},
		"a group alone":        {func(f *Facts) { f.Config.User = ":1000" }, "error RunsAsRoot"},
		"a name":               {func(f *Facts) { f.Config.User = "nginx" }, "warning UserNotNumeric"},
		"a number":             {func(f *Facts) { f.Config.User = "1000" }, ""},
		"root's group":         {func(f *Facts) { f.Config.User = "1000:0" }, ""},
		"Windows":              {func(f *Facts) { f.Platform, f.Config.User = "windows/amd64", "" }, "warning NotLinux"},
		"latest":               {func(f *Facts) { f.Reference = "registry.example.com/shop/web:latest" }, "warning MovingTag"},
		"no tag":               {func(f *Facts) { f.Reference = "nginx" }, "warning MovingTag"},
		"half a version":       {func(f *Facts) { f.Reference = "nginx:1.27" }, "warning MovingTag"},
		"a whole version":      {func(f *Facts) { f.Reference = "nginx:1.27.3" }, "info TagNotPinned"},
		"latest with a digest": {func(f *Facts) { f.Reference = "nginx:latest" + digest }, ""},
		"an archive":           {func(f *Facts) { f.Reference = "" }, ""},
		"a low port":           {func(f *Facts) { f.Config.Ports = []string{"8080/tcp", "80/tcp"} }, "info LowPort"},
		"a low port of root":   {func(f *Facts) { f.Config.User, f.Config.Ports = "0", []string{"80"} }, "error RunsAsRoot"},
		"data on a volume": {func(f *Facts) {
			f.Config.Env, f.Config.Volumes = []string{"PGDATA=/var/lib/db/data"}, []string{"/var/lib/db"}
		}, ""},
		"data beside a volume": {func(f *Facts) {
			f.Config.Env, f.Config.Volumes = []string{"PGDATA=/var/lib/dbs"}, []string{"/var/lib/db"}
		}, "warning WritesOutsideVolumes"},
		"logs to the terminal": {func(f *Facts) { f.Config.Env = []string{"ACCESS_LOG_FILE=/dev/stdout"} }, ""},
		"a flag":               {func(f *Facts) { f.Config.Cmd = []string{"--storage.tsdb.path=/prometheus"} }, "warning WritesOutsideVolumes"},
		"a flag and its value": {func(f *Facts) { f.Config.Cmd = []string{"serve", "--data-dir", "/data"} }, "warning WritesOutsideVolumes"},
		"a flag with a name":   {func(f *Facts) { f.Config.Cmd = []string{"--data-dir", "data"} }, ""},
		"a path to search": {func(f *Facts) {
			f.Config.Env = []string{"PATH=/bin:/usr/bin", "LD_LIBRARY_PATH=/lib", "JAVA_HOME=/opt/java", "CONFIG_FILE=/etc/x.yaml"}
		}, ""},
		"Java's": {func(f *Facts) { f.Config.Entrypoint = []string{"java", "-Djava.io.tmpdir=/work"} }, "warning WritesOutsideVolumes"},
		"a folder given away": {func(f *Facts) {
			f.Config.History = []string{"RUN /bin/sh -c mkdir -p /var/cache/web && chown -R 65532:65532 /var/cache/web /run/web # buildkit"}
		}, "info BuiltForItsUser"},
		"given to root":        {func(f *Facts) { f.Config.History = []string{"RUN chown root:root /etc/x && chmod 755 /usr/bin/x"} }, ""},
		"open to all":          {func(f *Facts) { f.Config.History = []string{"RUN chmod 1777 /scratch"} }, "info BuiltForItsUser"},
		"a password":           {func(f *Facts) { f.Config.Env = []string{"DB_PASSWORD=hunter2", "DB_PASSWORD_FILE=/run/x", "TOKEN="} }, "warning SecretInEnvironment"},
		"a password's file":    {func(f *Facts) { f.Config.Env = []string{"DB_PASSWORD=/run/secrets/db"} }, ""},
		"a registry of nobody": {func(f *Facts) { f.Reference = "registry.example.com.evil.example/shop/web:1.4.0" + digest }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := hardened()
			test.change(&f)
			assert.Equal(t, test.want, codes(Judge(f, Policy{})))
		})
	}
}

func TestSecretsAreNamedAndNotShown(t *testing.T) {
	f := hardened()
	f.Config.Env = []string{"DB_PASSWORD=hunter2"}
	r := Judge(f, Policy{})
	require.Len(t, r.Faults, 1)
	assert.Contains(t, r.Faults[0].Message, "DB_PASSWORD")
	assert.NotContains(t, r.Faults[0].Message, "hunter2")
}

func TestPlacesToWriteAreGathered(t *testing.T) {
	f := hardened()
	f.Config.Volumes = []string{"/data/"}
	f.Config.Env = []string{"TMPDIR=/work/tmp", "WEB_CACHE_DIR=/data/cache"}
	f.Config.Cmd = []string{"--pid-file=/run/web/web.pid", "--log-dir=/work/tmp"}
	r := Judge(f, Policy{})
	assert.Equal(t, []Place{{"/data", "volume"}, {"/run/web", "argument --pid-file"}, {"/work/tmp", "variable TMPDIR"}}, r.Writes)
}

func TestRegistriesAreAllowedByWholeComponents(t *testing.T) {
	tests := map[string]struct {
		reference string
		allowed   []string
		want      string
	}{
		"the registry":              {"registry.example.com/shop/web:1.0.0" + digest, []string{"registry.example.com"}, ""},
		"with a slash":              {"registry.example.com/shop/web:1.0.0" + digest, []string{"registry.example.com/"}, ""},
		"a path":                    {"registry.example.com/shop/web:1.0.0" + digest, []string{"registry.example.com/shop"}, ""},
		"one of two":                {"ghcr.io/shop/web:1.0.0" + digest, []string{"registry.example.com", "ghcr.io/shop"}, ""},
		"a longer host":             {"registry.example.com.evil.example/x:1.0.0" + digest, []string{"registry.example.com"}, "error RegistryNotAllowed"},
		"a longer path":             {"registry.example.com/shopping/web:1.0.0" + digest, []string{"registry.example.com/shop"}, "error RegistryNotAllowed"},
		"another port":              {"registry.example.com:5000/web:1.0.0" + digest, []string{"registry.example.com"}, "error RegistryNotAllowed"},
		"Docker Hub, short":         {"nginx:1.0.0" + digest, []string{"registry.example.com"}, "error RegistryNotAllowed"},
		"Docker Hub, allowed":       {"nginx:1.0.0" + digest, []string{"docker.io/library"}, ""},
		"Docker Hub by its alias":   {"index.docker.io/library/nginx:1.0.0" + digest, []string{"docker.io"}, ""},
		"the host in other letters": {"Registry.Example.Com/shop/web:1.0.0" + digest, []string{"registry.example.com"}, ""},
	}
	for name, test := range tests {
		f := hardened()
		f.Reference = test.reference
		assert.Equal(t, test.want, codes(Judge(f, Policy{Allowed: test.allowed})), name)
	}
	f := hardened()
	f.Reference = ""
	r := Judge(f, Policy{Allowed: []string{"registry.example.com"}})
	assert.Equal(t, "error RegistryUnknown", codes(r))
	assert.True(t, r.Incomplete)
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]string{
		"nginx": "docker.io/library/nginx", "shop/web": "docker.io/shop/web", "localhost/web": "localhost/web", "localhost:5000/a/b:c": "localhost:5000/a/b:c",
		"r.example.com/a": "r.example.com/a", "[fd00::1]:5000/a:1": "[fd00::1]:5000/a:1", "a/b" + digest: "docker.io/a/b" + digest, "r.example.com:5000/a": "r.example.com:5000/a",
	} {
		r, err := ParseReference(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, r.String())
	}
	for _, text := range []string{"", "A", "a//b", "a:", "a@sha256:1", "r.example.com/", "r.example.com/A", "a b", "-a", "a:b c", "http://r.example.com/a"} {
		_, err := ParseReference(text)
		assert.Error(t, err, text)
	}
	for tag, moves := range map[string]bool{
		"latest": true, "": true, "stable": true, "1": true, "1.27": true, "v2": true, "main": true, "1.27.3alpine": true, "deadbeefs": true,
		"1.27.3": false, "v1.2.3": false, "1.27.3-alpine": false, "v2.0.0-rc.1": false, "4a454a7": false, "20261123": false, "main-4a454a7": false, "bookworm-20261120": false,
	} {
		assert.Equal(t, moves, Reference{Tag: tag}.Moves(), tag)
	}
}

func TestKindsAreSortedAndWhole(t *testing.T) {
	last := ""
	for _, k := range Kinds() {
		assert.Less(t, last, k.Code)
		last = k.Code
		assert.NotEmpty(t, k.Severities)
		for _, s := range k.Severities {
			assert.Contains(t, []model.Severity{model.Info, model.Warning, model.Error}, s)
		}
		assert.NotEmpty(t, k.Why)
		assert.NotEmpty(t, k.Fix)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, text := range []string{"nginx", "r.example.com:5000/a/b:c" + digest, "a@b", ":", "[::1]:1/a", "Host/a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			return
		}
		again, err := ParseReference(r.String())
		if err != nil || again != r {
			t.Fatalf("%q is %+v, and that is %+v (%v)", text, r, again, err)
		}
	})
}

func FuzzJudge(f *testing.F) {
	f.Add("0:0", "PGDATA=/x", "--data-dir=/y", "RUN chown -R 1:1 /z && chmod g+w /w", "80/tcp")
	f.Fuzz(func(t *testing.T, user, env, argument, history, port string) {
		facts := hardened()
		facts.Config = Config{User: user, Env: []string{env}, Cmd: []string{argument}, History: []string{history}, Ports: []string{port}}
		r := Judge(facts, Policy{})
		for _, fault := range r.Faults {
			if fault.Why == "" || fault.Fix == "" {
				t.Fatalf("not a whole fault: %+v", fault)
			}
		}
		for _, place := range r.Writes {
			if !strings.HasPrefix(place.Path, "/") {
				t.Fatalf("not a place: %+v", place)
			}
		}
	})
}
