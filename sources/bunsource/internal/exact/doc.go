// Package exact decides which comparisons of a column Go makes exactly as the
// database does, by the column's type in both. Filters on such columns are evaluated
// in memory; the database is asked about all others.
package exact
