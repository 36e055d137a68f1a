package followsource_test

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
)

// Shorter names.
type ctx = context.Context

func keyOf(id int) driver.Key { return driver.KeyOf(id) }
