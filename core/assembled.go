package core

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
)

// maxNamed bounds how many names of a kind the line about the start lists.
const maxNamed = 20

// logAssembled says in one line what was started, and which source sees which of
// the tables that are read.
func (r *Registry) logAssembled(views []*publisher) {
	var bindings, families, transports, plugins, sources []string
	var tables []driver.Table
	for _, v := range views {
		if v.Spec.Family {
			families = append(families, v.Name())
		} else {
			bindings = append(bindings, v.Name())
		}
		if v.replica != nil {
			continue
		}
		for _, t := range v.Tables() {
			if !slices.Contains(tables, t) {
				tables = append(tables, t)
			}
		}
	}
	for _, t := range r.transports {
		transports = append(transports, t.it.Name())
	}
	for _, p := range r.plugins {
		plugins = append(plugins, p.it.Name())
	}
	for _, s := range r.eng.Sources() {
		var seen []string
		for _, t := range tables {
			if s.Covers(t) {
				seen = append(seen, t.String())
			}
		}
		switch what := ": " + namesOf(seen); {
		case len(seen) == len(tables):
			sources = append(sources, s.Name()+": every table")
		case len(seen) == 0:
			sources = append(sources, s.Name()+": no table")
		default:
			sources = append(sources, s.Name()+what)
		}
	}
	r.cfg.Logger.Info("core: started", slog.String("id", "core-started"),
		slog.String("bindings", namesOf(bindings)), slog.String("families", namesOf(families)),
		slog.String("sources", strings.Join(sources, "; ")),
		slog.String("transports", namesOf(transports)), slog.String("plugins", namesOf(plugins)),
		slog.Bool("authorizer", r.authorizer != nil))
}

// namesOf joins names, and counts those beyond a bound.
func namesOf(names []string) string {
	if n := len(names) - maxNamed; n > 0 {
		return strings.Join(names[:maxNamed], ", ") + " and " + strconv.Itoa(n) + " more"
	}
	return strings.Join(names, ", ")
}
