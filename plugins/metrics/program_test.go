package metrics

import (
	"runtime/debug"
	"testing"
)

// TestVersions: Bindery is the program itself, or one of its modules, which may be replaced.
func TestVersions(t *testing.T) {
	own := &debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}, Settings: []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc"}}}
	used := &debug.BuildInfo{Main: debug.Module{Path: "shop.example", Version: "v9"}, Deps: []*debug.Module{{Path: "other", Version: "v3"}, {Path: module, Version: "v0.1.0"}}}
	replaced := &debug.BuildInfo{Deps: []*debug.Module{{Path: module, Version: "v0.1.0", Replace: &debug.Module{Path: "fork.example", Version: "v0.2.0"}}}}
	for _, c := range []struct {
		info              *debug.BuildInfo
		version, revision string
	}{{own, "(devel)", "abc"}, {used, "v0.1.0", ""}, {replaced, "v0.2.0", ""}} {
		if version, revision := versions(c.info, true); version != c.version || revision != c.revision {
			t.Errorf("%v: %q, %q", c.info, version, revision)
		}
	}
	if version, revision := versions(nil, false); version+revision != "" {
		t.Errorf("without information: %q, %q", version, revision)
	}
}
