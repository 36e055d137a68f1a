// Package dberror tells from a database's error what was wrong with a value that was
// written: taken, missing, too long, out of range. It imports no driver.
package dberror
