package assembly

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

const modulePath = "github.com/binderyhq/bindery/"

// CallSite returns file and line of the nearest caller that is not part
// of Bindery itself, for errors that say where something was declared.
func CallSite() string {
	var pcs [32]uintptr
	n := runtime.Callers(2, pcs[:])
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next()
		if f.File != "" && !libraryFrame(f) {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return "unknown place"
		}
	}
}

func libraryFrame(f runtime.Frame) bool {
	rest, ours := strings.CutPrefix(f.Function, modulePath)
	if !ours || strings.HasSuffix(f.File, "_test.go") {
		return false
	}
	room, _, _ := strings.Cut(rest, "/")
	room, _, _ = strings.Cut(room, ".")
	return room != "examples"
}
