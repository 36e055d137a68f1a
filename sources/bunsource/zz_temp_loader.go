package bunsource

import (
	"context"

	"github.com/uptrace/bun"
)

func databaseName(db *bun.DB) string                   { return "" }
func withoutHooks(ctx context.Context) context.Context { return ctx }
