// Package onerow tells whether one row belongs to a binding, and why. Writes ask it
// before and after they change a row; operators ask it about rows that they miss.
package onerow
