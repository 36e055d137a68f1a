package writing

import "io"

// sentStep is by how much the memory is reserved that a body takes, in bytes. A client
// that announces a long body and does not send it takes none.
const sentStep = 32 << 10

// sent is a body as the client sends it. What has come is reserved.
type sent struct {
	from     io.Reader
	reserve  func(bytes int) (release func(), err error)
	reserved int
	read     int
	held     []func()
}

// Read implements [io.Reader]. Its error is that of reserve where there is no memory.
func (s *sent) Read(p []byte) (int, error) {
	if s.read >= s.reserved {
		release, err := s.reserve(sentStep)
		if err != nil {
			return 0, err
		}
		s.held = append(s.held, release)
		s.reserved += sentStep
	}
	n, err := s.from.Read(p[:min(len(p), s.reserved-s.read)])
	s.read += n
	return n, err
}

// release gives the memory back.
func (s *sent) release() {
	for _, release := range s.held {
		release()
	}
	s.held = nil
}
