package main

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

// statements create what is missing.
var statements = []string{
	`CREATE TABLE IF NOT EXISTS tenants (
		id   TEXT PRIMARY KEY,
		name TEXT NOT NULL
	)`,

	`CREATE TABLE IF NOT EXISTS people (
		name      TEXT PRIMARY KEY,
		full_name TEXT NOT NULL,
		tenant_id TEXT REFERENCES tenants (id),
		role      TEXT NOT NULL CHECK (role IN ('reader', 'admin', 'operator')),
		suspended BOOLEAN NOT NULL DEFAULT FALSE,
		password  TEXT NOT NULL,
		CHECK ((role = 'operator') = (tenant_id IS NULL))
	)`,

	`CREATE TABLE IF NOT EXISTS projects (
		id        INTEGER PRIMARY KEY AUTOINCREMENT,
		tenant_id TEXT NOT NULL REFERENCES tenants (id),
		name      TEXT NOT NULL,
		UNIQUE (id, tenant_id)
	)`,

	// The foreign key has both columns: no task is in a project of another
	// company, whoever writes it.
	`CREATE TABLE IF NOT EXISTS tasks (
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		tenant_id  TEXT NOT NULL,
		project_id INTEGER NOT NULL,
		title      TEXT NOT NULL CHECK (length(trim(title)) BETWEEN 1 AND 120),
		state      TEXT NOT NULL DEFAULT 'todo' CHECK (state IN ('todo', 'doing', 'done')),
		assignee   TEXT NOT NULL DEFAULT '' CHECK (length(assignee) <= 40),
		changed_at TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')),
		FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id)
	)`,

	// changed_at is not among the columns that fire the trigger, so it cannot
	// set itself off.
	`CREATE TRIGGER IF NOT EXISTS tasks_touch
	AFTER UPDATE OF tenant_id, project_id, title, state, assignee ON tasks
	BEGIN
		UPDATE tasks SET changed_at = strftime('%Y-%m-%d %H:%M:%f+00:00', 'now') WHERE id = NEW.id;
	END`,
}

// prepareDatabase makes the tables where they are missing, and fills them when
// there is nobody yet. All of it is one transaction.
func prepareDatabase(ctx context.Context, db *bun.DB, work int) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("creating tables: %w", err)
			}
		}
		filled, err := tx.NewSelect().Model((*Person)(nil)).Exists(ctx)
		if err != nil || filled {
			return err
		}
		return insertSeed(ctx, tx, work)
	})
}
