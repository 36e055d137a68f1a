// Package replicate keeps a binding as another node has it, whichever way that node's
// messages come: a [Loader] declares it, and a [Follower] applies each batch to a
// [core.Replica], computes the version's token, and compares it with the origin's.
package replicate
