package bunsource

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// writersEvery is how often the source asks which functions may write.
const writersEvery = 10 * time.Second

// watchWriters tells the tracker which functions may write when a statement calls
// them, until ctx is done. If the database does not answer, the last answer stands.
func (s *HookSource) watchWriters(ctx context.Context) {
	ticker := time.NewTicker(writersEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.tracker.Defined():
		case <-ctx.Done():
			return
		}
		s.learnWriters(ctx)
	}
}

// writersPatience bounds one such question.
const writersPatience = 5 * time.Second

func (s *HookSource) learnWriters(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writersPatience)
	defer cancel()
	if names, err := writers(withoutHooks(ctx), s.db); err == nil {
		s.tracker.SetWriters(names)
	}
}

// definition is a function or a view of the database.
type definition struct {
	name   string
	body   string // its text
	opaque bool   // its text does not show its effects, so it may write
	how    sqltext.Mention
}

// postgresDefinitions selects the functions of programs and extensions, and the views.
// With 3 come the relations through which a statement writes to other tables than it names:
// views, partitions and other children, tables with rules.
// It leaves out functions in C, which write no rows, except dblink's, which run SQL
// elsewhere. The text of an aggregate is the names of its functions.
const postgresDefinitions = `
SELECT p.proname, CASE WHEN p.prokind IN ('f', 'w') THEN pg_get_functiondef(p.oid)
		ELSE (SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.aggcombinefn) FROM pg_aggregate g WHERE g.aggfnoid = p.oid) END,
	p.prokind IN ('f', 'w') AND p.provolatile = 'v' AND l.lanname NOT IN ('sql', 'plpgsql'),
	CASE WHEN EXISTS (SELECT FROM pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype = 'c') THEN 1 ELSE 0 END
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND p.prokind <> 'p' AND (l.lanname NOT IN ('c', 'internal') OR p.prokind = 'a' OR p.proname LIKE 'dblink%')
	AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
UNION ALL
SELECT c.relname, pg_get_viewdef(c.oid), false, 2
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
SELECT c.relname, '', false, 3
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND (c.relkind = 'v'
	OR c.relkind IN ('r', 'p', 'f') AND (c.relhasrules OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)))`

// mysqlDefinitions selects the stored functions, and the views, which pass writes on. All
// functions count as writers, because MySQL
// does not enforce declarations such as READS SQL DATA.
const mysqlDefinitions = `
SELECT routine_name, '', true, 0 FROM information_schema.routines WHERE routine_type = 'FUNCTION'
	AND routine_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
UNION ALL
SELECT table_name, '', false, 3 FROM information_schema.views
	WHERE table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`

// verbs matches the words of which a body in SQL or PL/pgSQL needs one to write.
var verbs = regexp.MustCompile(`(?i)\b(INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY|EXECUTE|CALL|CREATE|ALTER|DROP|REFRESH)\b`)

// writers asks which functions may write, which views call them, and which relations
// pass writes on to other tables. In SQLite it finds
// none: the program's own functions write nothing.
func writers(ctx context.Context, db *bun.DB) (map[string]sqltext.Mention, error) {
	query := ""
	switch db.Dialect().Name() {
	case dialect.PG:
		query = postgresDefinitions
	case dialect.MySQL:
		query = mysqlDefinitions
	default:
		return nil, nil
	}
	all, err := readDefinitions(ctx, db, query)
	if err != nil {
		return nil, err
	}
	found := make(map[string]sqltext.Mention)
	add := func(d *definition) {
		name := strings.ToLower(d.name)
		if how, twice := found[name]; !twice || d.how > how {
			found[name] = d.how
		}
	}
	var calling []*definition // they may call a writer
	var targets []string
	for i := range all {
		d := &all[i]
		if d.how == sqltext.MentionedAsTarget {
			targets = append(targets, strings.ToLower(d.name))
			continue
		}
		// The statement that defines it begins with CREATE.
		_, body, cut := strings.Cut(d.body, "\nAS ")
		if !cut {
			body = strings.TrimPrefix(d.body, "CREATE")
		}
		if d.opaque || d.how != sqltext.MentionedAnywhere && verbs.MatchString(body) {
			add(d)
		} else {
			d.body = body
			calling = append(calling, d)
		}
	}
	for grown := true; grown; {
		grown = false
		rest := calling[:0]
		for _, d := range calling {
			if mentionsAny(d.body, found) {
				add(d)
				grown = true
			} else {
				rest = append(rest, d)
			}
		}
		calling = rest
	}
	for _, name := range targets {
		if _, writes := found[name]; !writes {
			found[name] = sqltext.MentionedAsTarget
		}
	}
	return found, nil
}

// mentionsAny reports whether one of the names is a word of the text.
func mentionsAny(text string, names map[string]sqltext.Mention) bool {
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool {
		return r < 0x80 && r != '_' && r != '$' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	}) {
		if _, ok := names[word]; ok {
			return true
		}
	}
	return false
}

func readDefinitions(ctx context.Context, db *bun.DB, query string) (all []definition, err error) {
	rows, err := db.DB.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var d definition
		if err := rows.Scan(&d.name, &d.body, &d.opaque, &d.how); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}
