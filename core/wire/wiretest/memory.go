package wiretest

import (
	"runtime"
	"strconv"
	"strings"

	"github.com/binderyhq/bindery/core"
)

// EventBytes is about the size of the message of each event that [HeapGrowth] makes.
const EventBytes = 1000

// HeapGrowth takes the binding through n versions, each an event, and returns by how
// many bytes the heap has grown meanwhile, without garbage. Before that it fills what
// fills up once: the sockets of clients that do not read, and the binding's log. The rig
// must be one that forgets.
func HeapGrowth(r *Rig, binding string, n int) int64 {
	r.TB.Helper()
	const rows = 100
	write := func(n, size int) {
		note := strings.Repeat("x", size)
		for i := range n {
			r.Put(binding, Item{ID: i%rows + 1, Name: strconv.Itoa(i), Note: note})
		}
	}
	write(2*rows, 64<<10) // more than sockets buffer
	write(2*core.DefaultLogEvents, EventBytes)
	events, before := r.Bindings[binding].Status().Events, heap()
	write(n, EventBytes)
	after := heap()
	if got := r.Bindings[binding].Status().Events - events; got < uint64(n) {
		r.TB.Errorf("%d events passed, not %d", got, n)
	}
	return after - before
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools held is gone after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
