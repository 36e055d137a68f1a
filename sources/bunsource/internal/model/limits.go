package model

import (
	"github.com/uptrace/bun/dialect"
)

// BatchLimits bound one statement.
type BatchLimits struct {
	// Params bounds the number of the keys' columns, sent as parameters or as text.
	Params int
	// Bytes bounds the keys as they stand in the statement; the last one may
	// exceed it.
	Bytes int
}

// LimitsOf returns what databases of the dialect take.
func LimitsOf(name dialect.Name) BatchLimits {
	if name == dialect.SQLite {
		return BatchLimits{Params: 32766, Bytes: 512 << 10}
	}
	return BatchLimits{Params: 65535, Bytes: 512 << 10}
}
