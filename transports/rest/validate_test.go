package rest

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-playground/validator/v10"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

type place struct {
	City string `json:"city" validate:"required"`
}

type base struct {
	Code string `json:"code" validate:"len=2"`
}

type account struct {
	ID   int64  `json:"id"`
	Name string `json:"display_name" validate:"min=3"`
	base
	Homes []place `json:"homes" validate:"dive"`
	Plain string  `validate:"max=3"`
}

// validatorFunc is an Echo validator.
type validatorFunc func(any) error

func (f validatorFunc) Validate(row any) error { return f(row) }

func TestValidator(t *testing.T) {
	rules := validator.New()
	byTag := validator.New()
	byTag.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("json") })
	playground := []string{
		`{"field":"display_name","detail":"breaks the rule \"min=3\""}`,
		`{"field":"code","detail":"breaks the rule \"len=2\""}`,
		`{"field":"homes[1].city","detail":"breaks the rule \"required\""}`,
		`{"field":"Plain","detail":"breaks the rule \"max=3\""}`,
	}
	for name, c := range map[string]struct {
		validate func(any) error
		says     []string
	}{
		"none":        {nil, nil},
		"content":     {func(any) error { return nil }, nil},
		"playground":  {rules.Struct, playground},
		"by tag":      {byTag.Struct, playground},
		"wrapped":     {func(row any) error { return echo.NewHTTPError(400, "no").SetInternal(rules.Struct(row)) }, playground},
		"HTTPError":   {func(any) error { return echo.NewHTTPError(400, "we do not like it") }, []string{`"detail":"we do not like it"`}},
		"other":       {func(any) error { return errors.New("we do not like it") }, []string{`"detail":"we do not like it"`}},
		"own problem": {func(any) error { return driver.Invalid("display_name", "is rude") }, []string{`{"field":"display_name","detail":"is rude"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, 0)
			table := coretest.NewTable[account]("accounts", "id")
			b := core.Bind("accounts", table, core.Writable())
			if err := s.Reg.Add(b); err != nil {
				t.Fatal(err)
			}
			<-b.Loaded()
			var given any
			if c.validate != nil {
				s.Echo.Validator = validatorFunc(func(row any) error { given = row; return c.validate(row) })
			}
			res := s.send("POST", "/api/accounts", `{"id":1,"display_name":"x","code":"c","homes":[{"city":"Rome"},{}],"Plain":"plain"}`)
			if c.validate != nil {
				if row, ok := given.(*account); !ok || row.Name != "x" {
					t.Errorf("the validator was given %T %v", given, given)
				}
			}
			if c.says == nil {
				want(t, res, 201)
				return
			}
			want(t, res, 422)
			text := body(t, res)
			for _, part := range c.says {
				if !strings.Contains(text, part) {
					t.Errorf("answer %s, want in it %s", text, part)
				}
			}
			if len(table.Rows()) != 0 {
				t.Errorf("refused, and written: %v", table.Rows())
			}
			// A deletion writes no row that could be wrong.
			want(t, s.send("DELETE", "/api/accounts/1", ``), 404)
		})
	}
}
