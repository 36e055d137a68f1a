package admin

import (
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/status"
)

// registry is a registry's status without its method for JSON, which would hide the other
// fields of a report.
type registry status.Registry

// report is the body of api/status.
type report struct {
	registry
	Process process   `json:"process"`
	Now     time.Time `json:"now"`
}

// process describes the running program.
type process struct {
	PID        int       `json:"pid"`
	Host       string    `json:"host,omitempty"`
	Program    string    `json:"program,omitempty"`
	Version    string    `json:"version,omitempty"`
	Go         string    `json:"go"`
	CPUs       int       `json:"cpus"`
	Started    time.Time `json:"started"`
	Uptime     float64   `json:"uptime"`
	Goroutines int       `json:"goroutines"`
	// Heap is the memory of the program's objects, Memory the memory that Go has from
	// the system, both in bytes.
	Heap   uint64 `json:"heap"`
	Memory uint64 `json:"memory"`
	GCs    uint32 `json:"gcs"`
}

// status returns the current status. Lists are never null.
func (p *Plugin) status() report {
	st := report{registry: registry(p.reg.Status()), Now: time.Now()}
	st.Bindings, st.Families, st.Sources = list0(st.Bindings), list0(st.Families), list0(st.Sources)
	st.Tables, st.Transports = list0(st.Tables), list0(st.Transports)
	for i := range st.Families {
		st.Families[i].Params = list0(st.Families[i].Params)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	st.Process = process{
		PID: os.Getpid(), Go: runtime.Version(), CPUs: runtime.GOMAXPROCS(0),
		Started: p.started, Uptime: time.Since(p.started).Seconds(), Goroutines: runtime.NumGoroutine(),
		Heap: mem.HeapAlloc, Memory: mem.Sys - mem.HeapReleased, GCs: mem.NumGC,
	}
	st.Process.Host, _ = os.Hostname() // left out if it is unknown
	if info, ok := debug.ReadBuildInfo(); ok {
		st.Process.Program, st.Process.Version = info.Path, info.Main.Version
	}
	return st
}

func list0[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// names returns the names of all bindings and families.
func (p *Plugin) names() []string {
	var names []string
	for _, v := range p.reg.Views() {
		names = append(names, v.Name())
	}
	for _, f := range p.reg.Status().Families {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
