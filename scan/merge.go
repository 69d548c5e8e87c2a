package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Merge puts together what several reports say of the same flaw in the same
// place: the same id or alias, package, version and artifact, and a location in
// common. Of a package of the distribution the artifact is the location.
func Merge(reports []*Report) []Finding {
	var all []Finding
	for _, r := range reports {
		all = append(all, r.Findings...)
	}
	// What is taken from the first of several must not depend on the order of the reports.
	slices.SortStableFunc(all, compareRead)
	unite(all)
	name(all)
	var merged []Finding
	for _, same := range groups(all) {
		merged = append(merged, mergeOne(all, same))
	}
	slices.SortFunc(merged, compareFindings)
	return merged
}

// compareRead orders findings as read, Trivy's before Grype's: its titles are shorter.
func compareRead(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(first(b.Scanners), first(a.Scanners)), cmp.Compare(a.of.name, b.of.name), cmp.Compare(len(b.of.ids), len(a.of.ids)),
		cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version), cmp.Compare(a.place(), b.place()),
		cmp.Compare(b.PURL, a.PURL), cmp.Compare(a.Title, b.Title), cmp.Compare(a.Link, b.Link), cmp.Compare(a.detail, b.detail),
		slices.Compare(a.Fix.Versions, b.Fix.Versions), cmp.Compare(a.Fix.Note, b.Fix.Note),
	)
}

// unite finds the artifacts that are the same: by a digest, or by name where one of them has no digest.
func unite(all []Finding) {
	adopt(all)
	byID, byName := map[string]*artifact{}, map[string][]*artifact{}
	join := func(a, b *artifact) {
		if a, b = a.root(), b.root(); a != b {
			a.name, b.united = cmp.Or(a.name, b.name), a
		}
	}
	for i := range all {
		a := all[i].of
		a.name = artifactName(a.name)
		for _, id := range a.ids {
			if other, known := byID[id]; known {
				join(other, a)
			} else {
				byID[id] = a
			}
		}
		byName[a.name] = append(byName[a.name], a)
	}
	for _, key := range slices.Sorted(maps.Keys(byName)) {
		namesakes := byName[key]
		// With one image of that name, those without a digest are it; with two, nobody can say.
		var images []*artifact
		for _, a := range namesakes {
			if len(a.ids) > 0 && !slices.Contains(images, a.root()) {
				images = append(images, a.root())
			}
		}
		var to *artifact
		if len(images) == 1 {
			to = images[0]
		}
		for _, a := range namesakes {
			if len(a.ids) == 0 {
				if to == nil {
					to = a
				}
				join(to, a)
			}
		}
	}
	for i := range all {
		all[i].Artifact = all[i].of.root().name
	}
}

// adopt gives what a scanner's SARIF found in a folder, which it does not name, the one folder that the same scanner's JSON names.
func adopt(all []Finding) {
	folders := map[string]map[string]*artifact{}
	for i := range all {
		if a, by := all[i].of, first(all[i].Scanners); a.name != "" && len(a.ids) == 0 {
			if folders[by] == nil {
				folders[by] = map[string]*artifact{}
			}
			folders[by][artifactName(a.name)] = a
		}
	}
	for i := range all {
		named := folders[first(all[i].Scanners)]
		if a := all[i].of; a.name != "" || len(a.ids) > 0 || len(named) != 1 {
			continue
		}
		for _, a := range named {
			all[i].of = a
		}
	}
}

// artifactName writes names that mean the same alike: of folders the clean path, of Docker Hub's images the short form.
func artifactName(text string) string {
	for _, hub := range []string{"index.docker.io/", "docker.io/"} {
		text = strings.TrimPrefix(text, hub)
	}
	text = strings.TrimPrefix(text, "library/")
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "/") {
		text = path.Clean(text)
	}
	if text == "." {
		return ""
	}
	return text
}

// name gives every finding the CVE as its id, where some report tells which one it is.
func name(all []Finding) {
	cveOf := map[string]string{}
	for i := range all {
		for _, id := range append([]string{all[i].ID}, all[i].Aliases...) {
			if cve := all[i].cve(); cve != "" && !isCVE(id) {
				if known, seen := cveOf[id]; seen && known != cve {
					cve = "-" // two reports disagree
				}
				cveOf[id] = cve
			}
		}
	}
	for i := range all {
		f := &all[i]
		cve := cmp.Or(f.cve(), cveOf[f.ID])
		if f.Kind != Vulnerability || cve == "" || cve == "-" || cve == f.ID {
			continue
		}
		f.Aliases = append([]string{f.ID}, slices.DeleteFunc(slices.Clone(f.Aliases), func(a string) bool { return a == cve })...)
		f.ID = cve
	}
}

// cve is the CVE among the names of the flaw, or empty.
func (f *Finding) cve() string {
	for _, id := range append([]string{f.ID}, f.Aliases...) {
		if isCVE(id) {
			return strings.ToUpper(id)
		}
	}
	return ""
}

// sameness is what two findings must have in common before locations are looked at.
type sameness struct {
	kind                     Kind
	id, pkg, version, detail string
	artifact                 *artifact
}

func (f *Finding) sameness() sameness {
	s := sameness{kind: f.Kind, id: strings.ToUpper(f.ID), artifact: f.of.root(), detail: f.detail}
	if f.Kind != EndOfLife {
		s.pkg, s.version = f.packageKey(), versionKey(f.Version)
	}
	return s
}

// packageKey is the name of the package as every scanner would write it.
func (f *Finding) packageKey() string { return packageKey(cmp.Or(purlName(f.PURL), f.Package)) }

func packageKey(name string) string {
	// Maven's "group:artifact" is "group/artifact" in a PURL. PEP 503 makes Python's names alike; others that
	// differ in this alone, with the same flaw, are one in practice.
	return strings.NewReplacer(":", "/", "_", "-", ".", "-").Replace(strings.ToLower(name))
}

// purlName reads the name, with its namespace, from a package URL (purl-spec), or empty. The vendor of a distribution's package is not part of its name.
func purlName(purl string) string {
	rest, is := strings.CutPrefix(purl, "pkg:")
	if !is {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	kind, rest, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if at := strings.LastIndex(rest, "@"); at > 0 {
		rest = rest[:at]
	}
	decoded, err := url.PathUnescape(rest)
	if err != nil {
		return ""
	}
	if slices.Contains(ofDistribution, strings.ToLower(kind)) {
		decoded = path.Base(decoded)
	}
	return decoded
}

// goVersion is the prefix that some scanners leave off versions of Go and its modules.
var goVersion = regexp.MustCompile(`^(?:v|go)(\d)`)

func versionKey(version string) string { return goVersion.ReplaceAllString(version, "$1") }

// groups partitions findings into those that are the same, in the order in which the first of each appears.
func groups(all []Finding) [][]int {
	alike := map[sameness][]int{}
	var order []sameness
	for i := range all {
		key := all[i].sameness()
		if _, seen := alike[key]; !seen {
			order = append(order, key)
		}
		alike[key] = append(alike[key], i)
	}
	var list [][]int
	for _, key := range order {
		list = append(list, byPlace(all, alike[key])...)
	}
	return list
}

// byPlace partitions findings that are alike into those with a place in common, by
// way of others as well. One without a place is anywhere in its artifact, and so joins all.
func byPlace(all []Finding, alike []int) [][]int {
	if len(alike) == 1 || slices.ContainsFunc(alike, func(i int) bool { return len(all[i].Locations) == 0 }) {
		return [][]int{alike}
	}
	lineless := map[string]bool{}
	for _, i := range alike {
		for _, l := range all[i].Locations {
			lineless[l.Path] = lineless[l.Path] || l.Line == 0 || all[i].Kind == Vulnerability || all[i].Kind == License
		}
	}
	same := newForest(len(alike))
	firstAt := map[Location]int{}
	for k, i := range alike {
		for _, l := range all[i].Locations {
			if lineless[l.Path] {
				l.Line = 0 // one without a line (Trivy's SARIF writes 1 for it) is anywhere in its file
			}
			if other, taken := firstAt[l]; taken {
				same.join(other, k)
			} else {
				firstAt[l] = k
			}
		}
	}
	at := map[int]int{}
	var list [][]int
	for k, i := range alike {
		group, seen := at[same.root(k)]
		if !seen {
			group = len(list)
			at[same.root(k)] = group
			list = append(list, nil)
		}
		list[group] = append(list[group], i)
	}
	return list
}

// forest partitions the numbers below its length: each leads to one that it is the same as, in the end to one that leads to itself.
type forest []int

func newForest(n int) forest {
	f := make(forest, n)
	for i := range f {
		f[i] = i
	}
	return f
}

func (f forest) root(i int) int {
	for f[i] != i {
		f[i] = f[f[i]]
		i = f[i]
	}
	return i
}

func (f forest) join(a, b int) {
	a, b = f.root(a), f.root(b)
	f[max(a, b)] = min(a, b)
}

// mergeOne makes one finding of those at some places of a list.
func mergeOne(all []Finding, same []int) Finding {
	f := all[same[0]]
	f.Aliases, f.Related, f.Ratings, f.Locations, f.Workloads, f.Scanners = nil, nil, nil, nil, nil, nil
	f.Fix = Fix{State: FixUnknown}
	for _, i := range same {
		g := &all[i]
		f.Title, f.Link, f.PURL = cmp.Or(f.Title, g.Title), cmp.Or(f.Link, g.Link), cmp.Or(f.PURL, g.PURL)
		f.Aliases, f.Related = append(f.Aliases, g.Aliases...), append(f.Related, g.Related...)
		f.Ratings, f.Locations = append(f.Ratings, g.Ratings...), append(f.Locations, g.Locations...)
		f.Workloads, f.Scanners = append(f.Workloads, g.Workloads...), append(f.Scanners, g.Scanners...)
		f.Fix.add(g.Fix)
	}
	f.Aliases, f.Related, f.Workloads, f.Scanners, f.Fix.Versions = sorted(f.Aliases), sorted(f.Related), sorted(f.Workloads), sorted(f.Scanners), sorted(f.Fix.Versions)
	f.Ratings = sortedBy(f.Ratings, compareRatings)
	f.Locations = places(f.Locations)
	f.Fingerprint = f.fingerprint()
	return f
}

// places sorts locations, and takes out those without a line where another scanner knows it.
func places(list []Location) []Location {
	list = sortedBy(list, func(a, b Location) int { return cmp.Or(cmp.Compare(a.Path, b.Path), b.Line-a.Line) })
	var kept []Location
	for _, l := range list {
		if l.Line == 0 && len(kept) > 0 && kept[len(kept)-1].Path == l.Path {
			continue
		}
		kept = append(kept, l)
	}
	slices.SortStableFunc(kept, func(a, b Location) int { return cmp.Or(cmp.Compare(a.Path, b.Path), a.Line-b.Line) })
	return kept
}

// add takes in what another scanner says: a fix that one of them knows is there.
func (x *Fix) add(y Fix) {
	rank := func(s FixState) int { return slices.Index([]FixState{FixUnknown, FixNone, FixAvailable}, s) }
	if rank(y.State) > rank(x.State) {
		x.State, x.Note = y.State, y.Note
	}
	x.Versions = append(x.Versions, y.Versions...)
}

func compareRatings(a, b Rating) int {
	chosen := func(r Rating) int {
		if r.Chosen {
			return 0
		}
		return 1
	}
	return cmp.Or(chosen(a)-chosen(b), cmp.Compare(a.Scanner, b.Scanner), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Severity, b.Severity))
}

// sorted sorts, and takes out what is there twice.
func sorted(texts []string) []string { return sortedBy(texts, strings.Compare) }

func sortedBy[T comparable](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}

// fingerprint leaves out what changes while the flaw stays: tag and digest of the image, line, severity, wording of the title.
func (f *Finding) fingerprint() string {
	place := ""
	if len(f.Locations) > 0 {
		place = f.Locations[0].Path
	}
	parts := []string{string(f.Kind), strings.ToUpper(f.ID), Repository(f.Artifact), f.packageKey(), versionKey(f.Version), place, f.detail}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Repository takes tag and digest off the name of an image.
func Repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	return name
}

// compareFindings orders by status (what fails first), severity, artifact, package and id.
func compareFindings(a, b Finding) int {
	return cmp.Or(
		a.Status.rank()-b.Status.rank(),
		b.Severity.Rank()-a.Severity.Rank(),
		cmp.Compare(a.Artifact, b.Artifact),
		cmp.Compare(a.Package, b.Package),
		cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.place(), b.place()),
		cmp.Compare(a.Fingerprint, b.Fingerprint),
		cmp.Compare(a.detail, b.detail),
	)
}

func (f *Finding) place() string {
	if len(f.Locations) == 0 {
		return ""
	}
	return f.Locations[0].Path
}
