package main

import (
	"time"

	"github.com/uptrace/bun"
)

// region model

// Ticket is the application's own model, as it was before.
type Ticket struct {
	bun.BaseModel `bun:"table:tickets"`

	ID        int64     `bun:"id,pk,autoincrement"       json:"id"`
	Subject   string    `bun:"subject,notnull"           json:"subject"`
	Customer  string    `bun:"customer,notnull"          json:"customer"`
	Open      bool      `bun:"open,notnull"              json:"open"`
	UpdatedAt time.Time `bun:"updated_at,notnull"        json:"updated_at"`
	DeletedAt time.Time `bun:"deleted_at,soft_delete,nullzero" json:"-"`
}

// endregion
