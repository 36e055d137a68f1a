package together_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
