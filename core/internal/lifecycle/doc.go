// Package lifecycle records what has started, and stops it phase by phase within the
// time that there is: whoever is late uses up its own share, and is named.
package lifecycle
