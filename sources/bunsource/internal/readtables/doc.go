// Package readtables finds the tables that a query reads, so that a binding can warn
// of tables missing from its declaration.
package readtables
