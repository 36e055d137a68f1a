package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// named identifies the binding of a line.
type named struct {
	Name   string                     `json:"name"`
	Params map[string]json.RawMessage `json:"params"`
	Scope  string                     `json:"scope"`
}

func (n named) String() string {
	var b strings.Builder
	b.WriteString(n.Name)
	separator := "?"
	for _, p := range slices.Sorted(maps.Keys(n.Params)) {
		values := []json.RawMessage{n.Params[p]}
		if several := []json.RawMessage(nil); json.Unmarshal(n.Params[p], &several) == nil && several != nil {
			values = several
		}
		for _, v := range values {
			b.WriteString(separator + p + "=" + strings.Trim(string(v), `"`))
			separator = "&"
		}
	}
	if n.Scope != "" {
		b.WriteString(" [" + n.Scope + "]")
	}
	return b.String()
}

type source struct {
	Name     string `json:"name"`
	Via      string `json:"via"`
	Watching bool   `json:"watching"`
	Reports  uint64 `json:"reports"`
	Found    uint64 `json:"found"`
	Error    string `json:"error"`
}

// title returns the source's name, with that of the source which works for it.
func (s source) title() string {
	if s.Via == "" {
		return s.Name
	}
	return s.Name + " (" + s.Via + ")"
}

// statusAnswer is the part of api/status that is printed.
type statusAnswer struct {
	Bindings []struct {
		named
		Table       string   `json:"table"`
		State       string   `json:"state"`
		Rows        int      `json:"rows"`
		Bytes       int      `json:"bytes"`
		Age         *float64 `json:"age"`
		Subscribers int      `json:"subscribers"`
		Events      uint64   `json:"events"`
		Troubled    int      `json:"troubled"`
		Error       string   `json:"error"`
		Trouble     []struct {
			Key    string `json:"key"`
			Reason string `json:"reason"`
		} `json:"trouble"`
	} `json:"bindings"`
	Sources    []source `json:"sources"`
	Transports []struct {
		Name        string `json:"name"`
		Open        int    `json:"open"`
		Subscribers int    `json:"subscribers"`
		Resumed     uint64 `json:"resumed"`
		Synced      uint64 `json:"synced"`
		Refused     uint64 `json:"refused"`
		Dropped     uint64 `json:"dropped"`
	} `json:"transports"`
}

func (st statusAnswer) print(out io.Writer) error {
	w := newTable(out)
	fmt.Fprintln(w, "BINDING\tTABLE\tSTATE\tROWS\tBYTES\tAGE\tSUBSCRIBERS\tEVENTS\tTROUBLE")
	for _, b := range st.Bindings {
		age := "-"
		if b.Age != nil {
			age = time.Duration(*b.Age * float64(time.Second)).Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\t%d\n", b.named, b.Table, b.State, b.Rows, size(b.Bytes), age, b.Subscribers, b.Events, b.Troubled)
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	if err := printSources(out, st.Sources); err != nil {
		return err
	}
	if err := st.printTransports(out); err != nil {
		return err
	}
	for _, b := range st.Bindings {
		if b.Error != "" {
			fmt.Fprintf(out, "\n%s: %s\n", b.named, b.Error)
		}
		for _, t := range b.Trouble {
			fmt.Fprintf(out, "\n%s: row %s cannot be shown: %s\n", b.named, t.Key, t.Reason)
		}
	}
	return nil
}

// printTransports prints the connections of each transport.
func (st statusAnswer) printTransports(out io.Writer) error {
	if len(st.Transports) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	w := newTable(out)
	fmt.Fprintln(w, "TRANSPORT\tOPEN\tSUBSCRIBERS\tRESUMED\tSYNCED\tREFUSED\tDROPPED")
	for _, t := range st.Transports {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", t.Name, t.Open, t.Subscribers, t.Resumed, t.Synced, t.Refused, t.Dropped)
	}
	return w.Flush()
}

func printSources(out io.Writer, sources []source) error {
	w := newTable(out)
	fmt.Fprintln(w, "SOURCE\tWATCHING\tREPORTS\tFOUND\tERROR")
	for _, s := range sources {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", s.title(), yes(s.Watching), s.Reports, s.Found, s.Error)
	}
	return w.Flush()
}

// operationAnswer is the answer to an operation.
type operationAnswer struct {
	verb     string
	Bindings []struct {
		named
		Rows    int    `json:"rows"`
		Version string `json:"version"`
		Changed bool   `json:"changed"`
		Pending bool   `json:"pending"`
		Drift   *struct {
			Missing     int      `json:"missing"`
			Extra       int      `json:"extra"`
			Changed     int      `json:"changed"`
			MissingKeys []string `json:"missing_keys"`
			ExtraKeys   []string `json:"extra_keys"`
			ChangedKeys []string `json:"changed_keys"`
		} `json:"drift"`
	} `json:"bindings"`
}

func (a operationAnswer) print(out io.Writer) error {
	w := newTable(out)
	if a.verb == "verify" {
		fmt.Fprintln(w, "BINDING\tROWS\tVERSION\tMISSING\tEXTRA\tCHANGED\tKEYS")
	} else {
		fmt.Fprintln(w, "BINDING\tROWS\tVERSION\tCHANGED")
	}
	for _, b := range a.Bindings {
		fmt.Fprintf(w, "%s\t%d\t%s", b.named, b.Rows, b.Version)
		if d := b.Drift; d != nil {
			keys := slices.Concat(d.MissingKeys, d.ExtraKeys, d.ChangedKeys)
			shown := strings.Join(keys[:min(len(keys), 10)], " ")
			if len(keys) > 10 {
				shown += " …"
			}
			fmt.Fprintf(w, "\t%d\t%d\t%d\t%s\n", d.Missing, d.Extra, d.Changed, shown)
			continue
		}
		changed := yes(b.Changed)
		if b.Pending {
			changed = "pending"
		}
		fmt.Fprintf(w, "\t%s\n", changed)
	}
	return w.Flush()
}

// explainAnswer says why a row is in the binding, or is not.
type explainAnswer struct {
	In  bool `json:"in"`
	Why []struct {
		Filter  string          `json:"filter"`
		Value   json.RawMessage `json:"value"`
		Limit   int             `json:"limit"`
		Row     string          `json:"row"`
		Binding string          `json:"binding"`
		Detail  string          `json:"detail"`
		Holds   bool            `json:"holds"`
	} `json:"why"`
	Sources []source `json:"sources"`
}

func (ex explainAnswer) print(out io.Writer) error {
	fmt.Fprintln(out, map[bool]string{true: "The row is in the binding.", false: "The row is not in the binding."}[ex.In])
	fmt.Fprintln(out)
	w := newTable(out)
	fmt.Fprintln(w, "BECAUSE\tHOLDS\tVALUE\tDETAIL")
	for _, r := range ex.Why {
		what := r.Filter
		switch {
		case r.Limit > 0:
			what = fmt.Sprintf("among the first %d", r.Limit)
		case r.Row != "":
			what = "the row is " + r.Row
		case r.Binding != "":
			what = "the binding is " + r.Binding
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", what, yes(r.Holds), r.Value, r.Detail)
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	return printSources(out, ex.Sources)
}

func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 8, 2, ' ', 0) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// size formats a number of bytes for people.
func size(n int) string {
	f, unit := float64(n), 0
	for ; f >= 1024 && unit < 4; unit++ {
		f /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[unit-1])
}
