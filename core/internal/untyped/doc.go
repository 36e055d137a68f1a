// Package untyped hides the type of a loader's rows from the engine: a
// [driver.Loader] of any T becomes a [Loader], with the abilities that it has. Rows
// are *T behind an any. Panics of the application's code become errors here.
package untyped
