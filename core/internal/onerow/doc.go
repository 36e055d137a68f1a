// Package onerow finds out whether one row belongs to a binding, and why. Writes use it
// before and after they change a row, and operators to look for a missing row.
package onerow
