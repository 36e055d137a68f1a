package csvfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
)

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "items.csv")
	const header = "sku,name,cents,stock\n"
	for _, c := range []struct{ content, want string }{
		{header + "a,\"Kind of, Blue\",1299,4\nb,Blue Train,999,0\n", "a Kind of, Blue;b Blue Train"},
		{"stock,cents,name,sku,more\n4,1299,Blue,a,x\n", "a Blue"},
		{header, ""},
		{"", "names no columns"},
		{"sku,name,cents\n", `does not name the column "stock"`},
		{header + "a,x,1,1\nb,y,much,1\n", "line 3"},
		{header + "a,x,1,1\na,y,1,1\n", `line 3: there is a sku "a" already`},
		{header + "a,x,1\n", "line 2"},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		items, err := Open(path).Load(t.Context(), nil)
		var got []string
		for _, i := range items {
			got = append(got, i.SKU+" "+i.Name)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if text := strings.Join(got, ";"); err == nil && text != c.want || err != nil && (c.want == "" || !strings.Contains(text, c.want)) {
			t.Errorf("of %q: %q, want %q", c.content, text, c.want)
		}
	}
	if err := os.WriteFile(path, []byte(header+"a,x,1,1\nb,y,1,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	items, err := Open(path).Load(t.Context(), []driver.Key{driver.KeyOf("b"), driver.KeyOf("c")})
	if err != nil || len(items) != 1 || items[0].SKU != "b" {
		t.Errorf("by key: %v, %v", items, err)
	}
}
