package clienttest

import (
	"fmt"
	"net/http"
	"time"
)

// refusalCases test errors. Over SSE and polls an error is an answer
// (application/problem+json), over WebSocket and within a stream a message.
var refusalCases = []Case{
	refusal("refused: 404", http.StatusNotFound),
	refusal("refused: 403", http.StatusForbidden),
	refusal("refused: 400", http.StatusBadRequest),
	{
		Name: "withdrawn", Rule: "A right that is withdrawn ends with an error message; what was shown is not asked for again.", On: []Transport{WebSocket, SSE},
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			return steps(r.doBegin(v1, "id"), func() error {
				r.server.refuse(problemOf(http.StatusForbidden))
				return r.cur.link.half([]message{{"event": binding, "action": "error", "payload": problemOf(http.StatusForbidden)}})
			}, func() error { return r.closed(http.StatusForbidden) })
		},
	},
	{
		Name: "not loaded yet", Rule: "503: a binding has not loaded yet; the client asks again, and is served in the end.",
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			if err := steps(r.doRefuse(problemOf(http.StatusServiceUnavailable)), r.doOpen()); err != nil {
				return err
			}
			r.server.refuseTimes(3, problemOf(http.StatusServiceUnavailable))
			return steps(r.doJoinFrom(""), r.doTell(v1.sync(10, "id")), r.doShow(v1))
		},
	},
	{
		Name: "an error of another binding", Rule: "An error names the event that it is about; it concerns nothing else.", On: []Transport{WebSocket, SSE},
		run: func(r *rig) error {
			v1 := r.has("v1", named("a")...)
			v2 := r.has("v2", named("a", "b")...)
			return steps(r.doBegin(v1, "id"),
				r.doHalf([]message{{"event": "others", "action": "error", "payload": problemOf(http.StatusForbidden)}}),
				r.doHalf([]message{{"action": "error", "payload": problemOf(http.StatusBadRequest)}}),
				r.doTell(v2.from(v1)), r.doShow(v2))
		},
	},
}

func refusal(name string, status int) Case {
	return Case{
		Name: name, Rule: "A refusal is an error with a status; the client says so, and does not ask again and again.",
		run: func(r *rig) error {
			return steps(r.doRefuse(problemOf(status)), r.doOpen(), func() error { return r.closed(status) })
		},
	}
}

// closed waits until the client shows that it was refused.
func (r *rig) closed(status int) error {
	s, err := r.await(fmt.Sprintf("closed by %d", status), func(s State) bool { return s.Status == Refused })
	if err != nil {
		return err
	}
	if s.Problem != status {
		return fmt.Errorf("the client says that status %d closed it, it was %d", s.Problem, status)
	}
	// A test cannot prove that nothing happens, so it watches for a while. One more
	// request may already have been sent, and another may ask for the reason.
	before := r.server.refusals()
	select {
	case <-time.After(patience):
	case <-r.ctx.Done():
	}
	if again := r.server.refusals() - before; again > 2 {
		return fmt.Errorf("the client asked %d times more for what it was refused", again)
	}
	return nil
}

// patience is how long the test watches that a client does nothing.
const patience = 100 * time.Millisecond

func (s *server) refusals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// refuseTimes refuses the next n joins, and then serves again.
func (s *server) refuseTimes(n int, p *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = p
	s.times = n
}
