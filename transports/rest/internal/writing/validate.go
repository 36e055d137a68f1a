package writing

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/labstack/echo/v4"
)

// validate asks the Validator of the Echo instance, if it has one, about a row before
// it is written.
func validate(app *echo.Echo, row any) error {
	if app == nil || app.Validator == nil {
		return nil
	}
	err := app.Validator.Validate(row)
	if err == nil {
		return nil
	}
	if fields := fieldErrors(row, err); fields != nil {
		return &driver.InvalidError{Fields: fields}
	}
	// Echo's guide wraps the validator's error in an HTTPError, whose text is for logs.
	var wrapped *echo.HTTPError
	if errors.As(err, &wrapped) {
		if fields := fieldErrors(row, wrapped.Internal); fields != nil {
			return &driver.InvalidError{Fields: fields}
		}
		if text, ok := wrapped.Message.(string); ok {
			return driver.Invalid("", text)
		}
		return driver.Invalid("", http.StatusText(http.StatusUnprocessableEntity))
	}
	return err
}

// fieldError is an error of go-playground/validator about one field. The application
// chooses that package; it is too large to be imported for its errors alone.
type fieldError interface {
	StructNamespace() string // the path from the row's type, in names of Go
	Tag() string
	Param() string
}

// fieldErrors returns the errors of single fields in an error of
// go-playground/validator, nil for other errors.
func fieldErrors(row any, err error) []driver.FieldError {
	for ; err != nil; err = errors.Unwrap(err) {
		list := reflect.ValueOf(err)
		if list.Kind() != reflect.Slice {
			continue
		}
		var fields []driver.FieldError
		for i := range list.Len() {
			f, ok := list.Index(i).Interface().(fieldError)
			if !ok {
				return nil
			}
			rule := f.Tag()
			if f.Param() != "" {
				rule += "=" + f.Param()
			}
			fields = append(fields, driver.FieldError{
				Field:  jsonPath(reflect.TypeOf(row), f.StructNamespace()),
				Detail: fmt.Sprintf("breaks the rule %q", rule),
			})
		}
		if fields != nil {
			return fields
		}
	}
	return nil
}

// jsonPath turns a path of Go field names, which begins with the name of the row's
// type, into one of JSON names. It leaves names that it does not know as they are.
func jsonPath(t reflect.Type, path string) string {
	_, path, _ = strings.Cut(path, ".")
	var out []string
	for _, part := range strings.Split(path, ".") {
		name, index, indexed := strings.Cut(part, "[")
		for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map) {
			t = t.Elem()
		}
		if t != nil && t.Kind() == reflect.Struct {
			if f, ok := t.FieldByName(name); ok {
				tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				t = f.Type
				if f.Anonymous && tag == "" {
					continue // its fields are the outer struct's
				}
				if tag != "" && tag != "-" {
					name = tag
				}
			}
		}
		if indexed {
			name += "[" + index
		}
		out = append(out, name)
	}
	return strings.Join(out, ".")
}
