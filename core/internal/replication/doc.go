// Package replication keeps the rows of a binding that another node publishes here: it
// calls a [Source] again and again, has it begin anew when somebody asks for all rows or
// waits for a mark, and knows whether what is held is current.
package replication
