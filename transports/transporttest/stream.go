package transporttest

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"sync"
)

// OpenStream makes a client for a harness whose transport streams over HTTP. It
// requests the URL as the principal (see [Identify]). The client's Next calls next to
// read a message from the answer's body, and returns its result. An answer without
// success becomes a [Refusal]. ctx bounds only the start.
func OpenStream(ctx context.Context, client *http.Client, url, principal string, next func(body *bufio.Reader) (Message, error)) (Client, error) {
	life, vanish := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, vanish)
	defer stop()
	req, err := http.NewRequestWithContext(life, http.MethodGet, url, nil)
	if err != nil {
		vanish()
		return nil, err
	}
	req.Header.Set(PrincipalHeader, principal)
	resp, err := client.Do(req)
	if err != nil {
		vanish()
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return &stream{body: resp.Body, read: bufio.NewReader(resp.Body), next: next, vanish: vanish}, nil
	}
	err = Refusal(resp)
	_ = resp.Body.Close()
	vanish()
	return nil, err
}

// stream is a client of one answer.
type stream struct {
	body   io.ReadCloser
	read   *bufio.Reader
	next   func(*bufio.Reader) (Message, error)
	vanish context.CancelFunc
	once   sync.Once
}

func (s *stream) Next(ctx context.Context) (Message, error) {
	stop := context.AfterFunc(ctx, s.vanish)
	defer stop()
	return s.next(s.read)
}

func (s *stream) Close() {
	s.vanish()
	s.once.Do(func() { _ = s.body.Close() })
}
