// Package rowset holds declared sets of rows: what a declaration amounts to
// ([Spec]), what its checks make of it ([Shape]), the rows that a [Member] holds, and
// the [Step] from one set of rows to the next.
//
// It decides in memory which rows belong to a member and how clients see them, as
// far as Go's answer is certainly the database's. It reads nothing by itself and
// knows no feeds: whoever reads rows hands them over as [Fetched].
package rowset
