package image

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/model"
)

// Judge judges an image by its configuration and its name.
func Judge(f Facts, p Policy) Result {
	r := Result{Facts: f, Faults: []Fault{}, Writes: []Place{}}
	r.judgeName(p)
	if os, _, _ := strings.Cut(f.Platform, "/"); os != "linux" {
		r.fault("NotLinux", model.Warning, "its platform is "+f.Platform)
		r.Incomplete = true
		return r
	}
	r.judgeUser()
	r.judgeWrites()
	r.judgePorts()
	r.judgeSecrets()
	slices.SortStableFunc(r.Faults, func(a, b Fault) int {
		return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), cmp.Compare(a.Code, b.Code))
	})
	return r
}

func (r *Result) fault(code string, severity model.Severity, message string) {
	for _, k := range Kinds() {
		if k.Code == code {
			r.Faults = append(r.Faults, Fault{Code: code, Severity: severity, Message: message, Why: k.Why, Fix: k.Fix})
		}
	}
}

func (r *Result) judgeName(p Policy) {
	ref, err := ParseReference(r.Reference)
	if r.Reference == "" || err != nil {
		if len(p.Allowed) > 0 {
			r.fault("RegistryUnknown", model.Error, "it is not known from where it will be pulled")
			r.Incomplete = true
		}
		return
	}
	if len(p.Allowed) > 0 && !slices.ContainsFunc(p.Allowed, ref.AllowedBy) {
		r.fault("RegistryNotAllowed", model.Error, fmt.Sprintf("%s/%s is in none of %s", ref.Registry, ref.Repository, strings.Join(p.Allowed, ", ")))
	}
	switch {
	case ref.Moves() && ref.Tag == "":
		r.fault("MovingTag", model.Warning, "it has no tag, which is latest")
	case ref.Moves():
		r.fault("MovingTag", model.Warning, fmt.Sprintf("the tag %q may stand for another image tomorrow", ref.Tag))
	case ref.Digest == "":
		r.fault("TagNotPinned", model.Info, fmt.Sprintf("the tag %q names a version, and not the image", ref.Tag))
	}
}

func (r *Result) judgeUser() {
	user, _, _ := strings.Cut(r.Config.User, ":")
	switch id, err := strconv.ParseInt(user, 10, 64); {
	case user == "":
		r.fault("RunsAsRoot", model.Error, "it names no user, which is root")
	case err == nil && id == 0, user == "root":
		r.fault("RunsAsRoot", model.Error, fmt.Sprintf("its user is %q", r.Config.User))
	case err != nil:
		r.fault("UserNotNumeric", model.Warning, fmt.Sprintf("its user is the name %q, of which only /etc/passwd in the image tells the number", user))
	}
}

// writePlace matches names of variables and flags that tell where something is
// written, with "_" for all that parts them: PGDATA, TMPDIR, MY_CACHE_DIR, data_dir, storage_tsdb_path.
var writePlace = regexp.MustCompile(`(?i)^(?:PGDATA|TMPDIR|TMP|TEMP|MPLCONFIGDIR|PYTHONPYCACHEPREFIX|XDG_RUNTIME_DIR|NPM_CONFIG_CACHE|GOCACHE|GOTMPDIR` +
	`|(?:.*_)?(?:CACHE|DATA|DB|LOG|LOGS|PID|RUN|SPOOL|STATE|STORAGE|STORAGE_TSDB|STORAGE_LOCAL|TEMP|TMP|UPLOAD|UPLOADS|MULTIPROC|MNESIA)_?(?:BASE|DIR|DIRECTORY|FILE|HOME|PATH))$`)

// judgeWrites finds places that are written to and are on no volume.
func (r *Result) judgeWrites() {
	var volumes []string
	for _, v := range r.Config.Volumes {
		volumes = append(volumes, path.Clean(v))
		r.Writes = append(r.Writes, Place{path.Clean(v), "volume"})
	}
	var outside []string
	for _, p := range append(r.fromEnv(), r.fromArguments()...) {
		if !covered(p.Path, append(volumes, kernelPlaces...)) && !slices.ContainsFunc(r.Writes, func(w Place) bool { return w.Path == p.Path }) {
			r.Writes = append(r.Writes, p)
			outside = append(outside, fmt.Sprintf("%s (%s)", p.Path, p.Why))
		}
	}
	if len(outside) > 0 {
		r.fault("WritesOutsideVolumes", model.Warning, "it names places to write to that are on no volume: "+strings.Join(outside, ", "))
	}
	slices.SortFunc(r.Writes, func(a, b Place) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Why, b.Why)) })
	if given := r.fromHistory(append(volumes, kernelPlaces...)); len(given) > 0 {
		r.fault("BuiltForItsUser", model.Info, "the build gives to a user: "+strings.Join(given, ", "))
	}
}

// kernelPlaces are never on the root file system.
var kernelPlaces = []string{"/dev", "/proc", "/sys"}

func covered(place string, by []string) bool {
	return slices.ContainsFunc(by, func(v string) bool { return place == v || strings.HasPrefix(place, strings.TrimSuffix(v, "/")+"/") })
}

// absolute is a clean path, where a text is one without variables.
func absolute(text string) (string, bool) {
	text = strings.Trim(text, `"'`)
	if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "$*? \t\n:") || path.Clean(text) == "/" {
		return "", false
	}
	return path.Clean(text), true
}

// directory is where a file would be: what ends in FILE names a file.
func directory(name, place string) string {
	if strings.HasSuffix(strings.ToUpper(name), "FILE") {
		return path.Dir(place)
	}
	return place
}

func (r *Result) fromEnv() []Place {
	var places []Place
	for _, variable := range r.Config.Env {
		name, value, _ := strings.Cut(variable, "=")
		if place, ok := absolute(value); ok && writePlace.MatchString(name) {
			places = append(places, Place{directory(name, place), "variable " + name})
		}
	}
	return places
}

// fromArguments reads "--data-dir=/x", "--data-dir /x" and "-Djava.io.tmpdir=/x".
func (r *Result) fromArguments() []Place {
	var places []Place
	arguments := slices.Concat(r.Config.Entrypoint, r.Config.Cmd)
	for i, argument := range arguments {
		if !strings.HasPrefix(argument, "-") {
			continue
		}
		flag, value, is := strings.Cut(argument, "=")
		if !is && i+1 < len(arguments) {
			value = arguments[i+1]
		}
		name := strings.NewReplacer("-", "_", ".", "_").Replace(strings.TrimPrefix(strings.TrimLeft(flag, "-"), "Djava.io."))
		if place, ok := absolute(value); ok && writePlace.MatchString(name) {
			places = append(places, Place{directory(name, place), "argument " + flag})
		}
	}
	return places
}

// giving matches a command of a build that gives paths to a user.
var giving = regexp.MustCompile(`\b(?:chown|chgrp|chmod)\s+((?:-\S+\s+)*)(\S+)((?:\s+/\S+)+)`)

// fromHistory lists the directories that a build gives away and nothing covers.
func (r *Result) fromHistory(covering []string) []string {
	var given []string
	for _, step := range r.Config.History {
		for _, match := range giving.FindAllStringSubmatch(step, -1) {
			mode := match[2]
			if strings.HasPrefix(match[0], "chmod") && !opensToOthers(mode) || mode == "root" || strings.HasPrefix(mode, "root:") || strings.HasPrefix(mode, "0:") {
				continue
			}
			for _, word := range strings.Fields(match[3]) {
				place, ok := absolute(strings.TrimRight(word, ";&|"))
				if ok && !covered(place, covering) && !slices.Contains(given, place) && !slices.ContainsFunc(r.Writes, func(w Place) bool { return w.Path == place }) {
					given = append(given, place)
				}
			}
		}
	}
	slices.Sort(given)
	return given
}

// opensToOthers tells whether a mode of chmod lets group or all write.
func opensToOthers(mode string) bool {
	if bits, err := strconv.ParseUint(mode, 8, 32); err == nil {
		return bits&0o022 != 0
	}
	return regexp.MustCompile(`[goa]+[+=][rwxXst]*w|g=u|^\+[rwxXst]*w`).MatchString(mode)
}

func (r *Result) judgePorts() {
	user, _, _ := strings.Cut(r.Config.User, ":")
	if user == "" || user == "root" || user == "0" {
		return
	}
	var low []string
	for _, port := range r.Config.Ports {
		number, _, _ := strings.Cut(port, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n < 1024 {
			low = append(low, port)
		}
	}
	if len(low) > 0 {
		slices.Sort(low)
		r.fault("LowPort", model.Info, "it says that it listens on "+strings.Join(low, ", "))
	}
}

// secretName matches names of variables that hold secrets, and not those that name a file with one.
var secretName = regexp.MustCompile(`(?i)(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRET_KEY|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$`)

// judgeSecrets names variables, and never what they hold.
func (r *Result) judgeSecrets() {
	var names []string
	for _, variable := range r.Config.Env {
		if name, value, _ := strings.Cut(variable, "="); value != "" && !strings.HasPrefix(value, "/") && secretName.MatchString(name) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		r.fault("SecretInEnvironment", model.Warning, "its environment holds values for "+strings.Join(names, ", "))
	}
}
