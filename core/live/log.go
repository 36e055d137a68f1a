package live

// eventLog keeps the last events of a binding, bounded in number and in bytes. Past a bound
// it drops the oldest events, and subscriptions that still need them get a sync instead.
// Positions count events since the log was created.
type eventLog struct {
	maxEvents, maxBytes int

	events []*Event // events[i] is at position first+i
	first  uint64
	bytes  int
	after  map[string]uint64 // token -> position after the latest event that led to it
}

// next returns the position that the next event will have.
func (l *eventLog) next() uint64 { return l.first + uint64(len(l.events)) }

// append adds an event and drops old ones as the bounds demand. It does not keep an event
// that exceeds the bound by itself.
func (l *eventLog) append(e *Event) {
	if l.after == nil {
		l.after = make(map[string]uint64)
	}
	if len(l.events) == 0 {
		l.after[e.From] = l.next()
	}
	l.events = append(l.events, e)
	l.bytes += e.bytes
	l.after[e.Version.Token] = l.next()
	drop := 0
	for n := len(l.events); drop < n && (n-drop > l.maxEvents || l.bytes > l.maxBytes); drop++ {
		old := l.events[drop]
		l.bytes -= old.bytes
		old.Cache().detach()
		// Nobody can resume from the event's first version any more.
		if pos, ok := l.after[old.From]; ok && pos <= l.first+uint64(drop) {
			delete(l.after, old.From)
		}
	}
	if drop > 0 {
		clear(l.events[:drop]) // the array lives on until append moves it
		l.first += uint64(drop)
		l.events = l.events[drop:]
	}
}

// since returns the events from the position on, or false when some of them were dropped.
func (l *eventLog) since(pos uint64) ([]*Event, bool) {
	if pos < l.first || pos > l.next() {
		return nil, false
	}
	return l.events[pos-l.first:], true
}

// find returns the position of the event that follows the version.
func (l *eventLog) find(token string) (uint64, bool) {
	pos, ok := l.after[token]
	if !ok || pos < l.first {
		return 0, false
	}
	return pos, true
}

// reset drops all events, so that every subscription gets a sync.
func (l *eventLog) reset() {
	l.first = l.next() + 1
	for _, e := range l.events {
		e.Cache().detach()
	}
	l.events, l.bytes = nil, 0
	clear(l.after)
}

// release drops the values derived from the events, and no longer counts these. Nothing may
// be appended afterwards.
func (l *eventLog) release() {
	for _, e := range l.events {
		e.Cache().detach()
	}
	l.bytes = 0
}
