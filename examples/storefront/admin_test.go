//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAdmin: the shop's admin tells and acts, for who has the token.
func TestAdmin(t *testing.T) {
	r := open(t, "", 100)
	with := http.Header{"Authorization": {"Bearer " + adminToken}}
	if code, _, _ := r.do("GET", "admin/api/status", nil); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	var list []struct {
		Name, State string
		Rows        int
	}
	_, _, body := r.do("GET", "admin/api/bindings", with)
	if err := json.Unmarshal(body, &list); err != nil || len(list) < 4 || list[0].Name != "products" || list[0].Rows != 90 || list[0].State != "live" {
		t.Errorf("bindings: %v %.500s", err, body)
	}
	if code, _, body := r.do("POST", "admin/api/bindings/shelf/verify?venue=store", with); code != 200 || !strings.Contains(string(body), `"verify":{"missing":0,"extra":0,"changed":0}`) {
		t.Errorf("verify: %d %s", code, body)
	}
	if code, _, body := r.do("GET", "admin/api/bindings/products/explain?key=5000", with); code != 200 || !strings.Contains(string(body), `{"row":"absent","holds":false}`) {
		t.Errorf("explain: %d %s", code, body)
	}
}

// TestAdminAddress: without -admin-token the address of the admin is printed with a
// token that opens it; standard output has the shop's address alone.
func TestAdminAddress(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "storefront")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-addr", "127.0.0.1:0", "-rows", "10")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	var said []byte
	address := regexp.MustCompile(`admin at (http://\S+\?token=\S{20,})\n`)
	for buf := make([]byte, 4096); !address.Match(said); {
		n, err := read.Read(buf)
		if err != nil {
			t.Fatalf("it says %q, %v", said, err)
		}
		said = append(said, buf[:n]...)
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Get(string(address.FindSubmatch(said)[1]))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) != 1 {
		t.Errorf("opening it: %d, %v", res.StatusCode, res.Cookies())
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if lines := strings.Split(strings.TrimSpace(stdout.String()), "\n"); len(lines) != 1 || !strings.HasPrefix(lines[0], "storefront: serving at http://") {
		t.Errorf("standard output: %q", stdout.String())
	}
}
