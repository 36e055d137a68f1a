// Package writing carries out a client's write: it parses the body by the columns that the
// binding shows, checks that the client may write the row and that it stays within bounds,
// and has the loader write it. Checks and write share one transaction.
package writing
