// Package replicate keeps a copy of another node's binding, over any transport of that
// node's messages. A [Loader] declares the binding. A [Follower] applies each batch to a
// [core.Replica], computes the version's token, and compares it with the origin's.
package replicate
