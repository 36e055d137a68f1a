// Package readtables finds the tables that a query reads, so that a binding can warn
// of those that its declaration forgot.
package readtables
