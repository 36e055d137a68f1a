package jsclient_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTypes compiles programs against the types: without the DOM library, and with
// React and TanStack DB.
func TestTypes(t *testing.T) {
	node := nodeBin(t)
	dir := packages(t, "typescript", "react", "@types/react", "@tanstack/db")
	for _, c := range []struct {
		file    string
		lib     []string
		skipLib bool // the types of others
	}{
		{"plain.ts", []string{"ES2022"}, false},
		{"plain.ts", []string{"ES2022", "DOM", "DOM.Iterable"}, false},
		{"dom.tsx", []string{"ES2022", "DOM", "DOM.Iterable"}, true},
	} {
		t.Run(c.file+" "+strings.Join(c.lib, " "), func(t *testing.T) {
			// A project that has installed the package, as far as the compiler sees.
			project := t.TempDir()
			modules := filepath.Join(project, "node_modules")
			ours := filepath.Join(modules, "@binderyhq", "client")
			copyTo(t, "npm", ours, "*.d.ts", "package.json")
			for _, name := range []string{"react", "@types", "@tanstack", "csstype", "@standard-schema"} {
				if err := os.Symlink(filepath.Join(dir, "node_modules", name), filepath.Join(modules, name)); err != nil {
					t.Fatal(err)
				}
			}
			copyTo(t, "testdata/types", project, c.file)
			if err := os.WriteFile(filepath.Join(project, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			config, err := json.Marshal(map[string]any{"files": []string{c.file}, "compilerOptions": map[string]any{
				"noEmit": true, "strict": true, "target": "ES2022", "module": "NodeNext", "moduleResolution": "NodeNext",
				"jsx": "react-jsx", "types": []string{}, "lib": c.lib, "skipLibCheck": c.skipLib,
			}})
			if err == nil {
				err = os.WriteFile(filepath.Join(project, "tsconfig.json"), config, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), node, filepath.Join(dir, "node_modules", "typescript", "bin", "tsc"), "-p", ".")
			cmd.Dir = project
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("tsc: %v\n%s", err, out)
			}
		})
	}
}

// copyTo copies the files that match into a folder, which it makes.
func copyTo(t *testing.T, from, to string, patterns ...string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("nothing matches %s (%v)", strings.Join([]string{from, pattern}, "/"), err)
		}
		for _, name := range found {
			body, err := os.ReadFile(name)
			if err == nil {
				err = os.WriteFile(filepath.Join(to, filepath.Base(name)), body, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
