// Package writing answers POST, PUT, PATCH and DELETE: it reads the body, evaluates
// the preconditions, carries out the write, and answers with the row.
package writing
