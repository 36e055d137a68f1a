// Package untyped hides the type of a loader's rows from the engine: a [driver.Loader] of
// any T becomes a [Loader] that knows which optional interfaces it has. Rows are *T in an
// any. Most panics of the application's code become errors here.
package untyped
