package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

const (
	// passwordWork is the number of iterations of new hashes.
	passwordWork = 600_000
	// maxPasswordWork bounds what a stored hash may ask for.
	maxPasswordWork = 10 * passwordWork
	// maxPassword is the length of the longest password, in bytes.
	maxPassword = 1024

	saltLength, sumLength = 16, sha256.Size
	passwordScheme        = "pbkdf2-sha256"
)

// hashPassword returns a hash of the password that says how it was made:
// scheme$iterations$salt$sum.
func hashPassword(password string, work int) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails
	sum, err := pbkdf2.Key(sha256.New, password, salt, work, sumLength)
	if err != nil {
		return "", fmt.Errorf("multitenant: hashing a password: %w", err)
	}
	b64 := base64.RawStdEncoding
	return strings.Join([]string{passwordScheme, strconv.Itoa(work), b64.EncodeToString(salt), b64.EncodeToString(sum)}, "$"), nil
}

// isPassword reports whether the hash was made of the password. A hash that
// cannot be read is of none.
func isPassword(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 4 || parts[0] != passwordScheme || len(password) > maxPassword {
		return false
	}
	work, err := strconv.Atoi(parts[1])
	if err != nil || work < 1 || work > maxPasswordWork {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[3])
	if err != nil || len(want) != sumLength {
		return false
	}
	sum, err := pbkdf2.Key(sha256.New, password, salt, work, sumLength)
	return err == nil && subtle.ConstantTimeCompare(sum, want) == 1
}

// hashing bounds how many passwords are tried at a time. Each costs a
// processor a good part of a second, by design; others wait for their turn.
type hashing chan struct{}

func newHashing() hashing { return make(hashing, max(1, runtime.GOMAXPROCS(0)/2)) }

// check is isPassword, in turn. The error is the context's.
func (h hashing) check(ctx context.Context, hash, password string) (bool, error) {
	select {
	case h <- struct{}{}:
		defer func() { <-h }()
		return isPassword(hash, password), nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
