package jsclient

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// The package as npm has it, without its tests.
//
//go:embed npm/*.js npm/*.d.ts npm/lib/*.js npm/package.json npm/README.md npm/LICENSE
var files embed.FS

// tarball is the name under which the whole package is served.
const tarball = "bindery.tgz"

// file is a file as it is served.
type file struct {
	name string // below the group
	kind string // Content-Type
	body []byte
}

// served returns every file that the plugin serves: the modules and their types
// under their names in the package, so that what they import is found, the entry
// as bindery.js too, and the package itself.
func served() ([]file, error) {
	var out []file
	var all []packed
	err := fs.WalkDir(files, "npm", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(p)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, "npm/")
		all = append(all, packed{name, body})
		kind := contentType(name)
		if kind == "" {
			return nil // of use to npm alone
		}
		out = append(out, file{name, kind, body})
		if rest, entry := strings.CutPrefix(name, "index."); entry {
			out = append(out, file{"bindery." + rest, kind, body})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the embedded files: %w", err)
	}
	body, err := pack(all)
	if err != nil {
		return nil, fmt.Errorf("packing the npm package: %w", err)
	}
	return append(out, file{tarball, "application/gzip", body}), nil
}

// contentType returns the type of a module or of its types, "" for other files.
// Package mime is not asked: it takes .ts for a video, and its answers depend on
// the machine's tables.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".ts":
		return "application/typescript; charset=utf-8"
	}
	return ""
}

// packed is a file of the tarball.
type packed struct {
	name string
	body []byte
}

// pack returns the files as npm installs them: a compressed tarball with one
// folder. The same files give the same bytes, since npm's lock files hold their
// hash: the archive bears no times and no owners.
func pack(files []packed) ([]byte, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	tw := tar.NewWriter(zip)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "package/" + f.name, Mode: 0o644, Size: int64(len(f.body)), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(f.body); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
