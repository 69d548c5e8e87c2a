package image

import (
	"errors"
	"regexp"
	"strings"
)

// Reference is the name of an image, taken apart (distribution/reference).
type Reference struct {
	// Registry is its host, with a port where there is one; "docker.io" where none is named.
	Registry string
	// Repository is the path, with "library/" where Docker Hub's own has none.
	Repository  string
	Tag, Digest string
}

// The grammar of the distribution project (distribution/reference, reference.go).
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	hostPattern       = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestPattern     = regexp.MustCompile(`^sha(?:256:[a-f0-9]{64}|512:[a-f0-9]{128})$`)
)

// ParseReference takes a name apart as containerd and Docker do.
func ParseReference(text string) (Reference, error) {
	var r Reference
	rest, digest, digested := strings.Cut(text, "@")
	if digested && !digestPattern.MatchString(digest) {
		return r, errors.New("after the @ wanted a digest, sha256: and 64 digits")
	}
	r.Digest = digest
	if colon := strings.LastIndex(rest, ":"); colon > strings.LastIndex(rest, "/") {
		rest, r.Tag = rest[:colon], rest[colon+1:]
		if !tagPattern.MatchString(r.Tag) {
			return r, errors.New("the tag is not one")
		}
	}
	r.Registry, rest = splitHost(rest)
	if !hostPattern.MatchString(r.Registry) {
		return r, errors.New("the registry is not the name of a host")
	}
	r.Repository = rest
	if !repositoryPattern.MatchString(rest) || len(rest) > 255 {
		return r, errors.New("the path is not that of an image: small letters, digits, and single . _ - between them")
	}
	return r, nil
}

// splitHost parts the registry, if one is named, from the path in it.
func splitHost(text string) (host, path string) {
	first, rest, found := strings.Cut(text, "/")
	switch {
	case !found || !strings.ContainsAny(first, ".:") && first != "localhost" && strings.ToLower(first) == first:
		host, path = "docker.io", text
	case strings.ContainsAny(first, ".:"):
		host, path = strings.ToLower(first), rest
	default:
		host, path = first, rest // in small letters a name without a dot would be no host
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host, path
}

func (r Reference) String() string {
	text := r.Registry + "/" + r.Repository
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest
	}
	return text
}

// AllowedBy tells whether a registry, or a path in it, covers the image. Whole
// components count: "ghcr.io/example" does not cover "ghcr.io/example-of-others".
func (r Reference) AllowedBy(registry string) bool {
	allowed := strings.TrimSuffix(registry, "/")
	whole := r.Registry + "/" + r.Repository
	return whole == allowed || strings.HasPrefix(whole, allowed+"/")
}

// fixedTag are versions with three numbers at least, dates, and names of commits: what is by custom not pushed again.
var fixedTag = regexp.MustCompile(`^(?:v?\d+\.\d+\.\d+(?:[-+_.].*)?|(?:.*\D)?\d{8}|(?:.*[-_.])?[0-9a-f]{7,40})$`)

// Moves tells whether the tag may stand for another image tomorrow: it is missing,
// a word such as "latest", or a version that leaves out a part.
func (r Reference) Moves() bool { return r.Digest == "" && !fixedTag.MatchString(r.Tag) }
