package core

import (
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/engine"
)

// registered is a registered part and where it was registered.
type registered[T any] struct {
	it T
	at string // file and line
}

// parts are what was registered beside bindings. They no longer change once Start has
// begun.
type parts struct {
	transports []registered[Transport]
	sources    []registered[driver.Source]
	plugins    []registered[Plugin]
	problems   []error // found at registration, for Start to report
}

// problem records a problem for Start to report.
func (p *parts) problem(err error) { p.problems = append(p.problems, err) }

// check returns all problems of the parts and the bindings.
func (p *parts) check(bindings []*binding) error {
	declared := members(bindings)
	errs := append(slices.Clone(p.problems), assembly.CheckBindings(declared, nil)...)
	for _, s := range p.sources {
		errs = append(errs, assembly.CheckSource(s.it, s.at, declared)...)
	}
	for _, t := range p.transports {
		errs = append(errs, assembly.CheckPart("transport", t.it, t.at)...)
	}
	for _, one := range p.plugins {
		errs = append(errs, assembly.CheckPart("plugin", one.it, one.at)...)
	}
	if len(errs) == 0 {
		return nil
	}
	return &StartError{Problems: errs}
}

// report describes the parts, the bindings, and what each source sees of them.
func (p *parts) report(bindings []*binding, sources []*engine.Source) *assembly.Report {
	out := &assembly.Report{}
	for _, v := range bindings {
		out.Bindings = append(out.Bindings, assembly.Binding{Member: v.Member, Watched: v.rows.Watched()})
	}
	for _, s := range sources {
		out.Sources = append(out.Sources, s)
	}
	for _, t := range p.transports {
		out.Transports = append(out.Transports, t.it.Name())
	}
	for _, one := range p.plugins {
		out.Plugins = append(out.Plugins, one.it.Name())
	}
	return out
}
