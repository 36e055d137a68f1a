package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// do makes the request, prints the answer and returns the exit code.
func (c command) do(ctx context.Context, out io.Writer) (int, error) {
	query := url.Values{}
	for _, p := range c.params {
		name, value, _ := strings.Cut(p, "=")
		query.Add(name, value)
	}
	method, path := http.MethodPost, []string{"bindings", c.name, c.verb}
	switch c.verb {
	case "list":
		method, path = http.MethodGet, []string{"status"}
	case "explain":
		method = http.MethodGet
		query.Set("key", c.key)
	}
	body, err := c.api.call(ctx, method, path, query)
	if err != nil {
		return exitFailed, err
	}
	code, print, err := c.read(body)
	if err != nil {
		return exitFailed, fmt.Errorf("reading the answer: %w", err)
	}
	if c.json {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, bytes.TrimSpace(body), "", "  "); err != nil {
			return exitFailed, err
		}
		pretty.WriteByte('\n')
		_, err = pretty.WriteTo(out)
	} else {
		err = print(out)
	}
	if err != nil {
		return exitFailed, err
	}
	return code, nil
}

// read decodes an answer. It returns the exit code and a function that prints the
// table.
func (c command) read(body []byte) (code int, print func(io.Writer) error, err error) {
	switch c.verb {
	case "list":
		var st statusAnswer
		err = json.Unmarshal(body, &st)
		return exitOK, st.print, err
	case "explain":
		var ex explainAnswer
		err = json.Unmarshal(body, &ex)
		if !ex.In {
			code = exitNo
		}
		return code, ex.print, err
	}
	var done operationAnswer
	if err := json.Unmarshal(body, &done); err != nil {
		return exitFailed, nil, err
	}
	done.verb = c.verb
	for _, b := range done.Bindings {
		if d := b.Drift; d != nil && d.Missing+d.Extra+d.Changed > 0 {
			code = exitNo
		}
	}
	return code, done.print, nil
}
