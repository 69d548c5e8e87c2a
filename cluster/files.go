package cluster

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// file is one input with its content.
type file struct {
	// path as the user gave it, joined with what was found below; "-" for standard input.
	path string
	data []byte
}

// collector gathers the files behind paths.
type collector struct {
	stdin  io.Reader
	files  []file
	faults InputErrors
	// seen are real paths of folders already read: links cannot lead around in circles.
	seen map[string]bool
	// taken tells that standard input was read.
	taken bool
}

// readFiles reads everything behind the paths into memory, in the order given, folders sorted by name.
func readFiles(paths []string, stdin io.Reader) ([]file, InputErrors) {
	c := &collector{stdin: stdin, seen: map[string]bool{}}
	for _, path := range paths {
		c.path(path)
	}
	return c.files, c.faults
}

func (c *collector) fault(path string, err error) {
	message := err.Error()
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		message = pathError.Err.Error()
	}
	f := &InputError{Message: message, Err: err}
	f.Source.File = path
	c.faults = append(c.faults, f)
}

// path takes what the user named: a file whatever its ending, a folder, or "-".
func (c *collector) path(path string) {
	if path == "-" {
		if !c.taken && c.stdin != nil {
			c.taken = true
			data, err := io.ReadAll(c.stdin)
			c.add(path, data, err)
		}
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		c.fault(path, err)
	case info.IsDir():
		c.folder(path)
	default:
		c.file(path)
	}
}

func (c *collector) file(path string) {
	data, err := os.ReadFile(path)
	c.add(path, data, err)
}

func (c *collector) add(path string, data []byte, err error) {
	switch {
	case err != nil:
		c.fault(path, err)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		c.fault(path, errors.New("is UTF-16; manifests must be UTF-8"))
	default:
		c.files = append(c.files, file{path: path, data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))})
	}
}

// folder reads a folder and those below it. Links are followed; each real folder is read once.
func (c *collector) folder(path string) {
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		resolved, err = filepath.Abs(resolved)
	}
	if err != nil {
		c.fault(path, err)
		return
	}
	if c.seen[resolved] {
		return
	}
	c.seen[resolved] = true
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		c.fault(path, err)
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			c.entry(filepath.Join(path, entry.Name()))
		}
	}
}

// entry takes what was found in a folder: folders and manifests, nothing else.
func (c *collector) entry(path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		if isManifest(path) {
			c.fault(path, err)
		}
	case info.IsDir():
		c.folder(path)
	case isManifest(path) && info.Mode().IsRegular():
		c.file(path)
	}
}

func isManifest(path string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path)))
}
