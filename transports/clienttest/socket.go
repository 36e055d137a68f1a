package clienttest

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455, section 4.2.2, asks for it
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// The server's side of WebSockets (RFC 6455), as far as the protocol needs it.

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10

	maxFrame = 1 << 20
)

// serveSocket upgrades the request to a WebSocket and reads the client's messages.
func (s *server) serveSocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		writeProblem(w, problemOf(http.StatusUpgradeRequired))
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	l := &socketLink{conn: conn}
	for {
		op, payload, err := readFrame(rw.Reader)
		if err != nil {
			return
		}
		switch op {
		case opClose:
			_ = l.frame(opClose, payload)
			return
		case opPing:
			_ = l.frame(opPong, payload)
		case opText:
			if !s.asked(r, l, payload) {
				return
			}
		}
	}
}

// asked handles a client's message. It returns false if the case is over.
func (s *server) asked(r *http.Request, l *socketLink, payload []byte) bool {
	var m struct {
		Event      string         `json:"event"`
		Version    string         `json:"version"`
		Params     map[string]any `json:"params"`
		Disconnect bool           `json:"disconnect"`
		Page       *int           `json:"page"`
		Mark       string         `json:"mark"`
	}
	answer := func(action string, more message) bool {
		out := message{"event": m.Event, "action": action}
		for k, v := range more {
			out[k] = v
		}
		if m.Params != nil {
			out["params"] = m.Params
		}
		_ = l.send([]message{out})
		return true
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return answer("error", message{"payload": problemOf(http.StatusBadRequest)})
	}
	switch {
	case m.Disconnect:
		s.mu.Lock()
		s.left++
		s.mu.Unlock()
		return answer("leave", nil)
	case m.Page != nil || m.Mark != "":
		return answer("error", message{"payload": problemOf(http.StatusBadRequest)})
	}
	if p := s.refusal(); p != nil {
		return answer("error", message{"payload": p})
	}
	params := map[string]string{}
	for k, v := range m.Params {
		params[k] = fmt.Sprint(v)
	}
	return s.admit(r.Context(), &join{m.Event, params, m.Version, l})
}

type socketLink struct {
	mu   sync.Mutex // guards writing
	conn net.Conn
}

func (l *socketLink) frame(op byte, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	if _, err := l.conn.Write(append(head, payload...)); err != nil {
		return errOver
	}
	return nil
}

func (l *socketLink) raw(text string) error { return l.frame(opText, []byte(text)) }

func (l *socketLink) send(list []message) error {
	for _, m := range list {
		if err := l.raw(text(m)); err != nil {
			return err
		}
	}
	return nil
}

func (l *socketLink) half(list []message) error { return l.send(list) }

// goodbye closes the connection with the code of a server that shuts down.
func (l *socketLink) goodbye() { _ = l.frame(opClose, binary.BigEndian.AppendUint16(nil, 1001)) }

func (l *socketLink) cut() { _ = l.conn.Close() }

// readFrame reads a client's frame, which is masked and not fragmented.
func readFrame(r *bufio.Reader) (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0x80 == 0 || head[1]&0x80 == 0 {
		return 0, nil, errors.New("a frame that is fragmented or not masked")
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, nil, err
		}
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	if n > maxFrame {
		return 0, nil, errors.New("a frame that is too long")
	}
	var mask [4]byte
	if _, err := io.ReadFull(r, mask[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0] & 0x0f, payload, nil
}
