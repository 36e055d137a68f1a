package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// mostBytes bounds the body of an answer.
const mostBytes = 64 << 20

// api calls the API of an admin.
type api struct {
	base  *url.URL
	token string
}

func newAPI(address, token string) (api, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return api{}, fmt.Errorf("-url %q is no address of the form http://host:port/admin", address)
	}
	if token == "" {
		token = u.Query().Get("token")
	}
	return api{base: &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}, token: token}, nil
}

// call makes a request and returns the body of the answer. It encodes the parts of the
// path.
func (a api) call(ctx context.Context, method string, path []string, query url.Values) ([]byte, error) {
	u := a.base.JoinPath("api")
	for _, part := range path {
		u = u.JoinPath(url.PathEscape(part))
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	// A redirect could lead elsewhere, and turns POST into GET, so none is followed.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer of %s: %w", u, err)
	case len(body) > mostBytes:
		return nil, fmt.Errorf("the answer of %s is longer than %d bytes", u, mostBytes)
	case res.StatusCode != http.StatusOK:
		return nil, refusal(res, u, body)
	case !json.Valid(body):
		return nil, fmt.Errorf("the answer of %s is no JSON: is that the admin's address?", u)
	}
	return body, nil
}

// refusal returns an error that describes a failed answer.
func refusal(res *http.Response, u *url.URL, body []byte) error {
	var problem struct{ Title, Detail string }
	if json.Unmarshal(body, &problem) != nil || problem.Title == "" {
		return fmt.Errorf("%s answers %s: is that the admin's address?", u, res.Status)
	}
	if res.StatusCode == http.StatusUnauthorized {
		return errors.New("the token is missing or wrong: set -token or $BINDERY_ADMIN_TOKEN")
	}
	if problem.Detail == "" {
		return errors.New(problem.Title)
	}
	return fmt.Errorf("%s: %s", problem.Title, problem.Detail)
}
