package bunsource

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

func TestMain(m *testing.M) {
	if !buntest.Long() {
		_ = flag.Set("rapid.checks", "30") // the command line may say otherwise
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}
