// Package loadertest holds a [driver.Loader] to its promises. A test of a loader
// calls [Run] with a function that makes a harness over a fresh table:
//
//	loadertest.Run(t, func(t *testing.T) loadertest.Harness[Item] { … })
//
// The abilities that the loader has beyond Loader are found by assertion, as the
// engine finds them, and are tried as well: [driver.Preparer],
// [driver.Snapshotter], [driver.Scanner] and [driver.Querier].
package loadertest
