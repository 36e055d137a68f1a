package main

import (
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
)

// No binding says whose rows it shows: that is the authorizer's to say, once and
// for all of them.

// bindTasks binds all tasks, to be written to. The time of the last change is
// not shown, and so cannot be written.
func bindTasks(db *bun.DB) *core.Binding[Task] {
	return bunsource.Bind[Task](db, "tasks",
		core.Columns("id", "tenant_id", "project_id", "title", "state", "assignee"),
		core.Writable())
}

// bindBoard binds the tasks of one project, a family: GET /api/board?project=1.
func bindBoard(db *bun.DB) *core.Family[Task] {
	return bunsource.BindFamily[Task](db, "board",
		core.Where(filter.Eq("project_id", filter.Param("project"))))
}

// bindRecent binds what was changed last, of whatever one may see: the limit
// counts within the scope.
func bindRecent(db *bun.DB) *core.Binding[Task] {
	return bunsource.Bind[Task](db, "recent",
		core.OrderBy("-changed_at", "-id"), core.Limit(6))
}

// bindProgress binds a query. A scope applies to its result, which therefore has
// the column that scopes are about; one run of the query serves all tenants.
func bindProgress(db *bun.DB) *core.Binding[Progress] {
	return bunsource.BindSQL[Progress](db, "progress", bunsource.SQL{
		Text: `
SELECT p.id, p.tenant_id, t.name AS tenant, p.name,
	count(k.id) AS tasks, count(CASE WHEN k.state = 'done' THEN 1 END) AS done
FROM projects AS p
JOIN tenants AS t ON t.id = p.tenant_id
LEFT JOIN tasks AS k ON k.project_id = p.id
GROUP BY p.id, t.name`,
		DependsOn: []any{(*Project)(nil), (*Tenant)(nil), (*Task)(nil)},
	}, core.OrderBy("tenant", "name"))
}

// bindPeople binds those who may sign in. The program itself reads from it, too:
// who somebody is costs no query.
func bindPeople(db *bun.DB) *core.Binding[Person] {
	return bunsource.Bind[Person](db, "people", core.OrderBy("tenant_id", "name"))
}
