package budget

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// Machine returns the memory that the process may use, in bytes: the least of GOMEMLIMIT,
// the limits of its cgroups (version 1 or 2), and the machine's memory. It returns 0 if none
// of these is known.
func Machine() int64 {
	limit := ofGroups("/proc/self/cgroup", "/sys/fs/cgroup")
	if n := ofMachine("/proc/meminfo"); n > 0 && (limit == 0 || n < limit) {
		limit = n
	}
	if n := debug.SetMemoryLimit(-1); n > 0 && n < math.MaxInt64 && (limit == 0 || n < limit) {
		limit = n
	}
	return limit
}

// ofMachine reads MemTotal.
func ofMachine(meminfo string) int64 {
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "MemTotal:" {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10
		}
	}
	return 0
}

// ofGroups returns the least limit of the process's cgroup and its ancestors, 0 for none. In
// a container these are mounted at the root.
func ofGroups(self, root string) int64 {
	paths := map[string]string{} // by the directory of the hierarchy
	text, err := os.ReadFile(self)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case id == "0" && controllers == "":
			paths[root] = path
		case strings.Contains(","+controllers+",", ",memory,"):
			paths[filepath.Join(root, "memory")] = path
		}
	}
	var least int64
	for dir, path := range paths {
		for _, file := range []string{"memory.max", "memory.limit_in_bytes"} {
			for at := filepath.Clean("/" + path); ; at = filepath.Dir(at) {
				if n := readLimit(filepath.Join(dir, at, file)); n > 0 && (least == 0 || n < least) {
					least = n
				}
				if at == "/" {
					break
				}
			}
		}
	}
	return least
}

// unlimited bounds real limits. Version 1 states "no limit" as the largest multiple of a
// page, which is above it.
const unlimited = 1 << 60

func readLimit(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is none
	if err != nil || n >= unlimited {
		return 0
	}
	return n
}
