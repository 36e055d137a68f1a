package sse

import (
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
)

// A second configuration would be ignored without a word, so Start reports it.
func TestSecondConfig(t *testing.T) {
	reg := core.NewRegistry()
	if err := reg.Serve(New(echo.New().Group("/events"), Config{}, Config{})); err != nil {
		t.Fatal(err)
	}
	if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "more than one configuration") {
		t.Errorf("error %v", err)
	}
}
