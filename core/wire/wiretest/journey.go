package wiretest

import "strconv"

// Stream is an open connection that carries the messages of one binding.
type Stream interface {
	// Next returns the next message, waiting for it.
	Next() Message
	// Drop ends the connection at once, whatever is under way.
	Drop()
}

// Journey drives one client of a binding through random writes, drops and
// resumes. After each batch it holds what the binding held at that version, and
// in the end the current version. pick returns a number below n; open connects
// and resumes from the version.
func Journey(r *Rig, binding string, steps int, pick func(what string, n int) int, open func(version string) Stream) {
	r.TB.Helper()
	c := &Client{}
	stream := open("")
	defer func() { stream.Drop() }()
	// read takes one message; afterwards mid says whether more belong to its batch.
	mid := false
	read := func() {
		m := stream.Next()
		if err := c.Take(m); err != nil {
			r.TB.Fatalf("%v", err)
		}
		if mid = m.More; !mid {
			r.Check(c)
		}
	}
	write := func() {
		if pick("delete", 4) == 0 {
			from, n := pick("from", 30), pick("count", 12)
			ids := []int{from}
			for i := range n {
				ids = append(ids, from+i+1)
			}
			r.Delete(binding, ids...)
			return
		}
		var items []Item
		from := pick("from", 30)
		for i := range pick("count", 12) + 1 {
			items = append(items, Item{ID: from + i, Name: strconv.Itoa(pick("name", 5))})
		}
		r.Put(binding, items...)
	}
	for range steps {
		switch pick("step", 5) {
		case 0, 1:
			write()
		case 2: // at most as many messages as are certain to come
			for range pick("messages", 6) {
				if !mid && c.Version == r.Token(binding) {
					break
				}
				read()
			}
		case 3:
			stream.Drop()
			c.Lose()
			mid = false
			stream = open(c.Version)
			read() // a stream always begins with something
		case 4:
			stream.Drop()
			c.Lose()
			mid = false
			for range pick("writes", 4) {
				write()
			}
			stream = open(c.Version)
			read()
		}
	}
	for mid || c.Version != r.Token(binding) {
		read()
	}
	r.Check(c)
}
