package jsclient

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
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

// file is a file to serve.
type file struct {
	name    string // below the group, or a route's pattern
	kind    string // Content-Type
	body    []byte
	forever bool // the name holds a hash of the content
}

// served returns every file that the plugin serves: the modules and their types under
// their names in the package, so that imports find them, the entry also as bindery.js,
// and the package itself.
//
// The entry imports its parts from a folder whose name is a hash of them. So a browser
// checks only the entry again. During a deploy a page may ask for the parts of another
// release; it gets those of this one.
func served() ([]file, error) {
	all, err := embedded()
	if err != nil {
		return nil, fmt.Errorf("reading the embedded files: %w", err)
	}
	release := releaseOf(all)
	var out []file
	for _, f := range all {
		kind := contentType(f.name)
		if kind == "" {
			continue // only npm uses it
		}
		body := f.body
		if rest, part := strings.CutPrefix(f.name, "lib/"); part {
			out = append(out, file{"lib-" + release + "/" + rest, kind, body, true}, file{"lib-:release/" + rest, kind, body, false})
		}
		if f.name == "index.js" {
			body = bytes.ReplaceAll(body, []byte(`"./lib/`), []byte(`"./lib-`+release+`/`))
		}
		out = append(out, file{f.name, kind, body, false})
		if rest, entry := strings.CutPrefix(f.name, "index."); entry {
			out = append(out, file{"bindery." + rest, kind, body, false})
		}
	}
	body, err := pack(all)
	if err != nil {
		return nil, fmt.Errorf("packing the npm package: %w", err)
	}
	return append(out, file{tarball, "application/gzip", body, false}), nil
}

// embedded returns the files of the package, in the order of their names.
func embedded() ([]packed, error) {
	var all []packed
	err := fs.WalkDir(files, "npm", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(p)
		all = append(all, packed{strings.TrimPrefix(p, "npm/"), body})
		return err
	})
	return all, err
}

// releaseOf returns a hash of the modules, which names their folder.
func releaseOf(all []packed) string {
	h := sha256.New()
	for _, f := range all {
		if strings.HasPrefix(f.name, "lib/") {
			fmt.Fprintf(h, "%s %d\n", f.name, len(f.body))
			h.Write(f.body)
		}
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
}

// contentType returns the media type of a module or of its types, "" for other files.
// It does not use package mime, which takes .ts for a video and depends on the
// machine's tables.
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

// pack returns the files as npm installs them: a compressed tarball with one folder.
// The archive has no times and no owners, so that equal files give equal bytes: npm's
// lock files hold their hash.
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
