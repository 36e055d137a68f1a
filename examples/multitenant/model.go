package main

import (
	"time"

	"github.com/uptrace/bun"
)

// Person is somebody who may sign in. Their rights are in their row, so that a
// change of it is a change of their rights.
type Person struct {
	bun.BaseModel `bun:"table:people"`

	Name     string `bun:"name,pk" json:"name"`
	FullName string `bun:"full_name,notnull" json:"full_name"`
	// TenantID is the company that they belong to, "" (NULL) for the operator,
	// who belongs to none.
	TenantID  string `bun:"tenant_id,nullzero" json:"tenant_id"`
	Role      role   `bun:"role,notnull" json:"role"`
	Suspended bool   `bun:"suspended,notnull" json:"suspended"`
	// Password is a hash. No client ever sees it.
	Password string `bun:"password,notnull" json:"-"`
}

// role is what somebody may do.
type role string

const (
	roleReader   role = "reader"   // sees what is their company's
	roleAdmin    role = "admin"    // writes it, too, and suspends people
	roleOperator role = "operator" // sees and writes everything
)

// Tenant is a company.
type Tenant struct {
	bun.BaseModel `bun:"table:tenants"`

	ID   string `bun:"id,pk" json:"id"`
	Name string `bun:"name,notnull" json:"name"`
}

// Project belongs to a company.
type Project struct {
	bun.BaseModel `bun:"table:projects"`

	ID       int64  `bun:"id,pk,autoincrement" json:"id"`
	TenantID string `bun:"tenant_id,notnull" json:"tenant_id"`
	Name     string `bun:"name,notnull" json:"name"`
}

// Task belongs to a project, and bears the company's name as well: it is what
// scopes are made of.
type Task struct {
	bun.BaseModel `bun:"table:tasks"`

	ID        int64  `bun:"id,pk,autoincrement" json:"id"`
	TenantID  string `bun:"tenant_id,notnull" json:"tenant_id"`
	ProjectID int64  `bun:"project_id,notnull" json:"project_id"`
	Title     string `bun:"title,notnull" json:"title"`
	State     string `bun:"state,notnull,default:'todo'" json:"state"` // todo, doing or done
	Assignee  string `bun:"assignee,notnull,default:''" json:"assignee"`
	// ChangedAt is the time of the last write. Its default and a trigger see to
	// that, so that it is right whoever writes.
	ChangedAt time.Time `bun:"changed_at,nullzero,notnull,default:strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')" json:"changed_at"`
}

// Progress is how far a project has come. No table holds it: it is counted.
type Progress struct {
	ID       int64  `bun:"id,pk" json:"id"`
	TenantID string `bun:"tenant_id" json:"tenant_id"`
	Tenant   string `bun:"tenant" json:"tenant"`
	Name     string `bun:"name" json:"name"`
	Tasks    int64  `bun:"tasks" json:"tasks"`
	Done     int64  `bun:"done" json:"done"`
}
