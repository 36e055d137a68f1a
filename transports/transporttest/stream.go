package transporttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// OpenStream makes a client for harnesses whose transport streams over HTTP: it
// asks for the URL, and next reads the next message from the answer's body. A
// 404 is [ErrRefused], a 503 [ErrUnavailable]; the context bounds the beginning
// alone. What next returns Next does.
func OpenStream(ctx context.Context, client *http.Client, url string, next func(body *bufio.Reader) (Message, error)) (Client, error) {
	life, vanish := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, vanish)
	defer stop()
	req, err := http.NewRequestWithContext(life, http.MethodGet, url, nil)
	if err != nil {
		vanish()
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		vanish()
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return &stream{body: resp.Body, read: bufio.NewReader(resp.Body), next: next, vanish: vanish}, nil
	case http.StatusNotFound:
		err = ErrRefused
	case http.StatusServiceUnavailable:
		err = ErrUnavailable
	default:
		err = errors.New("unexpected status")
	}
	_ = resp.Body.Close()
	vanish()
	return nil, fmt.Errorf("%s: %w", resp.Status, err)
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
