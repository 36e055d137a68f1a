package marks

import (
	"sync"
	"sync/atomic"
)

// Reached remembers marks that a binding is known to have reached. What was reached once
// is reached for good, also when the binding comes into trouble later. The zero value is
// ready to use; its methods may be called concurrently.
type Reached struct {
	last atomic.Pointer[string] // the text of one of them: many clients may ask for the same

	own atomic.Uint64 // the highest number of the node's own

	mu     sync.Mutex          // guards what follows
	others map[string]struct{} // by their text
}

// maxOthers bounds the marks of other nodes that are remembered of a binding. When there
// are more, all are forgotten: finding out again costs one question.
const maxOthers = 64

// Add remembers the mark, whose text is given. node names this node.
func (s *Reached) Add(node Node, m Mark, text string) {
	defer s.last.Store(&text)
	if m.Node == node {
		for {
			was := s.own.Load()
			if was >= m.Number || s.own.CompareAndSwap(was, m.Number) {
				return
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
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
