package fanoutbench

import (
	"fmt"
	"os"
)

// residentMemory returns the memory that the system has given the process (its resident
// set), in bytes; 0 where /proc does not tell.
func residentMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64 // in pages
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
