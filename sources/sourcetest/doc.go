// Package sourcetest checks that a source keeps the promises of [driver.Source]. Every
// source of Bindery passes it; users can test their own sources with it.
//
// The source's author writes a [Harness]: it opens a small table that the
// source watches, writes to it and reads it. [Run] runs each case as a subtest,
//
//	func TestConformance(t *testing.T) {
//		sourcetest.Run(t, func() (sourcetest.Harness, error) { return newHarness(t.TempDir()) })
//	}
//
// and [Check] returns all failures as one error, for programs other than tests.
//
// The suite is a simple engine: at each report it reads the reported rows at once
// through the harness, and keeps them. In the end the kept rows must equal the table.
// So it finds a change that is never reported. It also finds one that is reported too
// early: the read gets the old row, and no later report brings the new one. The suite
// overwrites slices passed to the sink at once, because they no longer belong to the
// source.
//
// Sources declare optional abilities ([Abilities]). The suite checks that they have
// these, and that they do not report more than they declare.
//
// Cases run one after the other, each with a new harness and a watchdog.
// They look for leaked goroutines, so nothing else should run in parallel with them.
// The package needs only the standard library.
package sourcetest
