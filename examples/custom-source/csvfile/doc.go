// Package csvfile binds a CSV file: a [driver.Loader] that reads it and a
// [driver.Source] that watches it. There is no database; the file is the truth.
//
// # Setup
//
// The file's first line names the columns sku, name, cents and stock, in any
// order. Whoever writes it writes another file beside it and renames that over
// it, so that no reader ever sees half a file.
//
// # Delivery
//
// The source reads the file at the interval and reports the whole table when
// its content has changed, whoever changed it. What came and went between two
// looks is not seen. A version of the binding is always one whole state of the
// file.
//
// # Limits
//
// The file is read in full each time: it should not be larger than some
// megabytes. More than [MaxSize] is refused.
//
// # Errors
//
// While the file is missing or cannot be read the source is lost, and its
// bindings are stale; it heals by itself. A file that can be read and makes
// no sense is the loader's business: it names the line, and the bindings keep
// the last rows that did make sense.
package csvfile
