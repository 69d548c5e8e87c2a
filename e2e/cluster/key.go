package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

// key names a thing in the cache by all that it is made of.
func key(of ...string) string {
	h := sha256.New()
	for _, s := range of {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// keyOfFiles is a key of the contents of files.
func keyOfFiles(paths ...string) (string, error) {
	var contents []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		contents = append(contents, string(text))
	}
	return key(contents...), nil
}

// there tells whether a file or folder is.
func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// whole makes a file or folder of the cache: fill writes it beside its place, and
// only what is complete is moved there. What is there is left.
func whole(path string, fill func(beside string) error) error {
	if there(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	beside := path + ".partial"
	if err := os.RemoveAll(beside); err != nil {
		return err
	}
	if err := fill(beside); err != nil {
		return err
	}
	return os.Rename(beside, path)
}
