package rest

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"os"
	"sync"

	"github.com/zeebo/xxh3"
)

// executable names the running program by the content of its file. Where that
// cannot be read it is random, so that nothing of another process is taken for
// this one's.
var executable = sync.OnceValue(func() string {
	// Linux opens the file that was started, also when another has taken its
	// place since.
	for _, find := range []func() (string, error){func() (string, error) { return "/proc/self/exe", nil }, os.Executable} {
		path, err := find()
		if err != nil {
			continue
		}
		if sum, err := hashFile(path); err == nil {
			return sum
		}
	}
	return rand.Text()
})

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	h := xxh3.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	sum := h.Sum128().Bytes()
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
