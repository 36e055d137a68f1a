// Package wiretest helps the tests of the streaming transports: a running
// registry over tables in memory, and a client that applies messages as the
// protocol demands and notices when they break it.
package wiretest
