// Package rowset holds declared sets of rows: the declaration ([Spec]), its checked form
// ([Shape]), the rows that a [Member] holds, and the [Step] from one set of rows to the
// next.
//
// It decides in memory which rows belong to a member, if Go's answer is provably the
// database's, and encodes rows for clients. It reads nothing itself and knows no feeds:
// whoever reads rows passes them in as [Fetched].
package rowset
