package deploy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"go.yaml.in/yaml/v3"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// TestUnit has systemd read the unit.
func TestUnit(t *testing.T) {
	analyze := installed.Program(t, "apt-get install systemd", "systemd-analyze")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := configured(t, t.TempDir(), "shop.service", "/usr/local/bin/shop", program)
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	var complaints []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "shop.service") { // not about the machine's other units
			complaints = append(complaints, line)
		}
	}
	if len(complaints) > 0 {
		t.Errorf("%v: %s", err, complaints)
	}
}

// TestContainer runs the step of the Dockerfile that compiles.
func TestContainer(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RUN CGO_ENABLED=0 go build -trimpath -o /shop (\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the Dockerfile does not compile the shop")
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Name}}", string(m[1]))
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "main" {
		t.Errorf("%v: %s", err, out)
	}
}

// TestKubernetes reads the manifest, and asks the shop's code for the probes' paths.
func TestKubernetes(t *testing.T) {
	text, err := os.ReadFile("kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type probe struct {
		HTTPGet struct {
			Path string `yaml:"path"`
			Port int    `yaml:"port"`
		} `yaml:"httpGet"`
	}
	var deployment struct {
		Kind string `yaml:"kind"`
		Spec struct {
			Template struct {
				Spec struct {
					Grace      int `yaml:"terminationGracePeriodSeconds"`
					Containers []struct {
						Ports []struct {
							ContainerPort int `yaml:"containerPort"`
						} `yaml:"ports"`
						Startup   probe `yaml:"startupProbe"`
						Readiness probe `yaml:"readinessProbe"`
						Liveness  probe `yaml:"livenessProbe"`
						Lifecycle struct {
							PreStop struct {
								Sleep struct {
									Seconds int `yaml:"seconds"`
								} `yaml:"sleep"`
							} `yaml:"preStop"`
						} `yaml:"lifecycle"`
					} `yaml:"containers"`
				} `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&deployment); err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("there is a second document: %v", err)
	}
	shop, err := os.ReadFile("../storefront/shop.go")
	if err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template.Spec
	if deployment.Kind != "Deployment" || len(pod.Containers) != 1 {
		t.Fatalf("%+v", deployment)
	}
	c := pod.Containers[0]
	for name, p := range map[string]probe{"/readyz": c.Readiness, "/healthz": c.Liveness} {
		if p.HTTPGet.Path != name || p.HTTPGet.Port != c.Ports[0].ContainerPort || !bytes.Contains(shop, []byte(`"`+name+`"`)) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if c.Startup != c.Readiness {
		t.Errorf("the start is probed elsewhere: %+v", c.Startup)
	}
	if pod.Grace < c.Lifecycle.PreStop.Sleep.Seconds+10 {
		t.Errorf("%d seconds to end, of which %d are slept", pod.Grace, c.Lifecycle.PreStop.Sleep.Seconds)
	}
}

// part returns a region of postgres.sql.
func part(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "-- region "+name+"\n")
	sql, _, closed := strings.Cut(rest, "-- endregion")
	if !ok || !closed {
		t.Fatalf("no region %q", name)
	}
	return sql
}

// Item is a row of both tables.
type Item struct {
	bun.BaseModel `bun:"table:products"`

	ID   int64  `bun:"id,pk,autoincrement" json:"id"`
	Name string `bun:"name,notnull"        json:"name"`
}

// TestPostgres makes the roles in psql, and runs a program as them: it reads and
// writes as shop and follows the log as bindery, and neither can do more.
func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	psql(t, server.DSN("postgres"), "CREATE DATABASE shop")
	super := server.DSN("shop")
	psql(t, super, "CREATE TABLE products (id bigserial PRIMARY KEY, name text NOT NULL); CREATE TABLE orders (id bigserial PRIMARY KEY, name text NOT NULL)")
	psql(t, super, part(t, "roles"))
	psql(t, super, part(t, "settings"))

	as := func(role string) *pgx.ConnConfig {
		cfg, err := pgx.ParseConfig(super)
		if err != nil {
			t.Fatal(err)
		}
		cfg.User = role
		return cfg
	}
	db := bunsource.OpenConnector(stdlib.GetConnector(*as("shop")), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	products := bunsource.Bind[Item](db, "products")
	reg := core.NewRegistry()
	reg.Add(products)
	follow := as("bindery")
	reg.Watch(pgsource.New("host=" + follow.Host + " port=" + port(follow) + " dbname=shop user=bindery sslmode=disable"))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	came := make(chan string, 4)
	t.Cleanup(products.OnChange(func(d core.Delta[Item]) {
		for _, p := range d.Created {
			came <- p.Name
		}
	}))
	psql(t, super, "INSERT INTO products (name) VALUES ('Blue')") // somebody else writes
	select {
	case name := <-came:
		if name != "Blue" {
			t.Errorf("%s came", name)
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("nothing came: %+v", reg.Status().Sources)
	}
	if _, err := db.NewInsert().Model(&Item{Name: "Kind of Blue"}).Exec(t.Context()); err != nil {
		t.Error(err)
	}

	for _, c := range []struct{ role, sql string }{
		{"bindery", "SELECT * FROM products"},
		{"bindery", "INSERT INTO products (name) VALUES ('x')"},
		{"shop", "DROP TABLE products"},
		{"shop", "CREATE TABLE x ()"},
	} {
		conn, err := pgx.ConnectConfig(t.Context(), as(c.role))
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), c.sql)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !slices.Contains([]string{"42501"}, refused.Code) {
			t.Errorf("%s may %s: %v", c.role, c.sql, err)
		}
		_ = conn.Close(context.Background())
	}
}

func port(cfg *pgx.ConnConfig) string { return strconv.Itoa(int(cfg.Port)) }

func psql(t *testing.T, dsn, sql string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn)
	cmd.Stdin = strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s", err, out)
	}
}
