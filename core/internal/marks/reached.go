package marks

import (
	"sync"
	"sync/atomic"
)

// Reached remembers marks that a binding is known to have reached. What was reached once
// is reached for good, also when the binding comes into trouble later; see [Reached.Forget]
// for the exception. The zero value is ready to use; its methods may be called
// concurrently.
type Reached struct {
	last atomic.Pointer[string] // the text of one of them: many clients may ask for the same
	own  atomic.Uint64          // the highest number of the node's own
	runs atomic.Uint64          // calls of Forget

	mu     sync.Mutex          // guards what follows, and changes of the above
	others map[string]struct{} // by their text
}

// maxOthers bounds the marks of other nodes that are remembered of a binding. When there
// are more, all are forgotten: finding out again costs one question.
const maxOthers = 64

// Run returns the number of times that marks were forgotten.
func (s *Reached) Run() uint64 { return s.runs.Load() }

// Forget forgets all marks. It is called before the binding may show older rows than it
// has shown.
func (s *Reached) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs.Add(1)
	s.last.Store(nil)
	s.own.Store(0)
	s.others = nil
}

// Add remembers the mark, whose text is given. node names this node. run is the value of
// Run when the caller began to find out; the mark is not remembered if it has changed.
func (s *Reached) Add(run uint64, node Node, m Mark, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if run != s.runs.Load() {
		return
	}
	s.last.Store(&text)
	if m.Node == node {
		s.own.Store(max(s.own.Load(), m.Number))
		return
	}
	if s.others == nil || len(s.others) >= maxOthers {
		s.others = make(map[string]struct{})
	}
	s.others[text] = struct{}{}
}

// Has reports whether the mark is known to be reached.
func (s *Reached) Has(node Node, m Mark, text string) bool {
	if m.Node == node {
		return m.Number <= s.own.Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.others[text]
	return ok
}

// HasLast reports whether the text is that of the mark added last. It is quicker than
// [Parse] and [Reached.Has].
func (s *Reached) HasLast(text string) bool {
	last := s.last.Load()
	return last != nil && *last == text
}
