// Package sourcetest holds sources to what [driver.Source] promises. Every
// source of Bindery passes it; it is exported for those that users write.
//
// The source's author writes a [Harness]: it opens a small table that the
// source watches, writes to it and reads it. Then there are two doors: [Run]
// runs each case as a subtest,
//
//	func TestConformance(t *testing.T) {
//		sourcetest.Run(t, func() (sourcetest.Harness, error) { return newHarness(t.TempDir()) })
//	}
//
// and [Check] returns everything that is wrong as one error, for programs that
// are no tests.
//
// The suite plays the engine in the simplest way: whenever the source reports,
// it reads what was reported at once, by way of the harness, and keeps it. What
// it keeps must come to equal the table. So a change that is never reported
// shows, and one that is reported too early shows as well, since the read at
// that moment brings the old row and nothing brings the new one. Rows handed
// to the sink are overwritten at once, because they are no longer the source's.
//
// What sources may or may not be able to do they declare ([Abilities]), and a
// lack is checked like an ability: a source that reports more than it declares
// has a wrong declaration.
//
// Cases run one after the other, each with a harness of its own and a watchdog.
// Since they look for goroutines left behind, nothing else should run in
// parallel with them. The package builds on the standard library alone.
package sourcetest
