// Package exchange holds one request together with its answer, and writes the
// answer.
package exchange
