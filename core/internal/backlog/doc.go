// Package backlog holds what is still to be done for a table: what sources have
// reported and no read has covered ([Pending]), which members are in trouble and
// when they are tried again ([Troubles]), and what these have missed ([Journal]).
// Everything in it is bounded. Nothing in it has a lock: who keeps it guards it.
package backlog
