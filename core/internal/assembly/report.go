package assembly

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// maxNamed bounds how many names of a kind the line about the start lists.
const maxNamed = 20

// Binding is a binding or a family that was started.
type Binding struct {
	*rowset.Member
	// Watched are the tables that sources must watch, so that it is current: none where
	// another node tells of every change.
	Watched []driver.Table
}

// Source is what the report has to know of a source.
type Source interface {
	Name() string
	Covers(t driver.Table) bool
}

// Report is what was started.
type Report struct {
	Bindings            []Binding
	Sources             []Source
	Transports, Plugins []string // their names
	Authorizer          bool     // there is one
}

// Log says in one line what was started, and which source sees which of the tables that
// are read.
func (r *Report) Log(log *slog.Logger) {
	var bindings, families, sources []string
	var tables []driver.Table
	for _, v := range r.Bindings {
		if v.Spec.Family {
			families = append(families, v.Name())
		} else {
			bindings = append(bindings, v.Name())
		}
		for _, t := range v.Watched {
			if !slices.Contains(tables, t) {
				tables = append(tables, t)
			}
		}
	}
	for _, s := range r.Sources {
		sources = append(sources, s.Name()+": "+seenBy(s, tables))
	}
	log.Info("core: started", slog.String("id", "core-started"),
		slog.String("bindings", namesOf(bindings)), slog.String("families", namesOf(families)),
		slog.String("sources", strings.Join(sources, "; ")),
		slog.String("transports", namesOf(r.Transports)), slog.String("plugins", namesOf(r.Plugins)),
		slog.Bool("authorizer", r.Authorizer))
}

// seenBy names those of the tables that the source covers.
func seenBy(s Source, tables []driver.Table) string {
	var seen []string
	for _, t := range tables {
		if s.Covers(t) {
			seen = append(seen, t.String())
		}
	}
	switch len(seen) {
	case len(tables):
		return "every table"
	case 0:
		return "no table"
	default:
		return namesOf(seen)
	}
}

// namesOf joins names, and counts those beyond a bound.
func namesOf(names []string) string {
	if n := len(names) - maxNamed; n > 0 {
		return strings.Join(names[:maxNamed], ", ") + " and " + strconv.Itoa(n) + " more"
	}
	return strings.Join(names, ", ")
}

// Warn tells of bindings that everybody may write to, and of bindings that no source
// keeps current.
func (r *Report) Warn(log *slog.Logger) {
	for _, v := range r.Bindings {
		if !r.Authorizer && v.Spec.Rules.Writable {
			log.Warn("core: no authorizer is set: whoever reaches a transport may write to the binding", slog.String("id", "core-unguarded"),
				slog.String("binding", v.Name()))
		}
		r.warnUnwatched(log, v)
	}
}

func (r *Report) warnUnwatched(log *slog.Logger, v Binding) {
	schema := v.Schema()
	for _, table := range v.Watched {
		if slices.ContainsFunc(r.Sources, func(s Source) bool { return s.Covers(table) }) {
			continue
		}
		what := "core: no source watches the binding's table: it changes only by Resync"
		switch {
		case len(schema.Depends) == 0 && table != schema.Table:
			what = "core: no source watches a table whose rows the binding shows: its changes are not noticed"
		case len(schema.Depends) > 0:
			what = "core: no source watches a table that the binding depends on: its changes are not noticed"
		}
		log.Warn(what, slog.String("id", "core-unwatched"), slog.String("binding", v.Name()), slog.String("table", table.String()))
	}
}
