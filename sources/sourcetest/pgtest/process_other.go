//go:build !unix

package pgtest

import (
	"errors"
	"os"
	"os/exec"
)

type account struct{}

func findAccount() (account, error) {
	return account{}, errors.New("this package runs servers on Unix only")
}

func (account) own(string) error  { return nil }
func (account) prepare(*exec.Cmd) {}

var fastShutdown, immediateShutdown = os.Kill, os.Kill
