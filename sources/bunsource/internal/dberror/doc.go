// Package dberror recognises from a database's error why it refused a written value:
// taken, missing, too long, out of range. It imports no driver.
package dberror
