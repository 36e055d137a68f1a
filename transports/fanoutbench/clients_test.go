package fanoutbench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// clientsEnv tells the process that it plays the clients: "protocol address
// path number".
const clientsEnv = "BINDERY_FANOUT_CLIENTS"

// A mark is in every message that counts: the number of its round and the time
// at which it was published, both of fixed width, so that clients need not
// parse the messages.
const markLen = len("@00000000:0000000000000000000@")

func mark(round int) string { return fmt.Sprintf("@%08d:%019d@", round, time.Now().UnixNano()) }

func parseMark(b []byte) (round int, at int64, ok bool) {
	if b[9] != ':' || b[markLen-1] != '@' {
		return 0, 0, false
	}
	round, err1 := strconv.Atoi(string(b[1:9]))
	at, err2 := strconv.ParseInt(string(b[10:markLen-1]), 10, 64)
	return round, at, err1 == nil && err2 == nil
}

// playClients connects and says "ready", then for each round, once every
// client has its message, the median and the 99th percentile of how long it
// took, in nanoseconds. It ends when its input does.
func playClients(spec string, in io.Reader, out io.Writer) error {
	var protocol, addr, path string
	var n int
	if _, err := fmt.Sscan(spec, &protocol, &addr, &path, &n); err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range conns {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			conns[i], errs[i] = open(protocol, addr, path)
		})
	}
	wg.Wait()
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t := &tally{clients: n, out: out}
	for _, c := range conns {
		go t.read(c)
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

// open connects by hand: a client library would cost the machine more than the
// server that is measured.
func open(protocol, addr, path string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return nil, err
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	want := "HTTP/1.1 200"
	if protocol != "sse" {
		request += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		want = "HTTP/1.1 101"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	// Byte by byte, so that nothing of what follows is taken away.
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if _, err := c.Read(b); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if !bytes.HasPrefix(head, []byte(want)) {
		return nil, errors.Join(fmt.Errorf("answered %.100q", head), c.Close())
	}
	// Masked text frames. Plain melody ignores them.
	joins := map[string][]string{"ws": {`{"event":"` + binding + `"}`}, "sio": {"40", `42["` + binding + `"]`}}
	for _, msg := range joins[protocol] {
		frame := append([]byte{0x81, 0x80 | byte(len(msg)), 0, 0, 0, 0}, msg...)
		if _, err := c.Write(frame); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// tally gathers the deliveries of a round.
type tally struct {
	clients int
	out     io.Writer

	mu    sync.Mutex // guards what follows
	round int
	took  []int64
}

func (t *tally) read(c net.Conn) {
	buf := make([]byte, 2048)
	have, last := 0, 0
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		rest := buf[:have]
		for {
			i := bytes.IndexByte(rest, '@')
			if i < 0 {
				rest = nil
				break
			}
			if rest = rest[i:]; len(rest) < markLen {
				break
			}
			if round, at, ok := parseMark(rest); ok && round > last {
				last = round
				t.count(round, time.Now().UnixNano()-at)
				rest = rest[markLen:]
			} else {
				rest = rest[1:]
			}
		}
		have = copy(buf, rest)
	}
}

func (t *tally) count(round int, took int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if round > t.round {
		t.round, t.took = round, t.took[:0]
	}
	if t.took = append(t.took, took); len(t.took) == t.clients {
		slices.Sort(t.took)
		fmt.Fprintln(t.out, round, t.took[len(t.took)/2], t.took[len(t.took)*99/100])
	}
}
