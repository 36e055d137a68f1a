package bunsource

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// grade is a number in the database and a word everywhere else.
type grade int

var grades = []string{"low", "high"}

func (l grade) MarshalText() ([]byte, error) { return []byte(grades[l]), nil }

func (l *grade) UnmarshalText(text []byte) error {
	for i, word := range grades {
		if strings.EqualFold(word, string(text)) {
			*l = grade(i)
			return nil
		}
	}
	return fmt.Errorf("no level: %q", text)
}

func (l grade) Value() (driver.Value, error) { return int64(l), nil }

type argued struct {
	bun.BaseModel `bun:"table:argued"`
	ID            int64     `bun:",pk" json:"id"`
	Mood          string    `bun:",notnull" json:"mood"`
	Addr          string    `bun:",notnull" json:"addr"`
	Text          string    `bun:"text_id,notnull" json:"text_id"`
	Own           uuid.UUID `bun:"own_id,type:uuid,notnull" json:"own_id"`
	Small         int64     `bun:",notnull" json:"small"`
	Medium        int64     `bun:",notnull" json:"medium"`
	Real          float64   `bun:"real_no,notnull" json:"real"`
	Day           string    `bun:",notnull" json:"day"`
	Level         grade     `bun:",notnull" json:"level"`
}

// An argument that the database would refuse is refused at once, by name, over
// every way in, and makes no member.
func TestArgumentsThatTheDatabaseWouldRefuse(t *testing.T) {
	t.Parallel()
	const lower, upper = "6f1c8f2e-6f0e-4b9a-9d3a-0123456789ab", "{6F1C8F2E6F0E4B9A9D3A0123456789AB}"
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		mood, inet, real := "mood", "INET", "REAL"
		if isSQLite(db) {
			mood, inet = "TEXT", "TEXT"
		} else {
			mustExec(t, db, `CREATE TYPE mood AS ENUM ('good', 'bad')`)
		}
		mustExec(t, db, `CREATE TABLE argued (id BIGINT PRIMARY KEY, mood `+mood+` NOT NULL, addr `+inet+` NOT NULL, text_id UUID NOT NULL, own_id UUID NOT NULL,
			small SMALLINT NOT NULL, medium INTEGER NOT NULL, real_no `+real+` NOT NULL, day DATE NOT NULL, level BIGINT NOT NULL)`)
		mustExec(t, db, `INSERT INTO argued VALUES (1, 'good', '10.0.0.1', '`+lower+`', '`+lower+`', 1, 2147483647, 1.5, '2024-02-29', 1)`)
		columns := map[string]struct{ good, bad []string }{
			"mood":    {[]string{"good", "bad"}, []string{"sad", "GOOD", ""}},
			"addr":    {[]string{"10.0.0.1", "::1"}, []string{"nowhere", "10.0.0.256"}},
			"text_id": {[]string{lower, upper, "6F1C8F2E-6F0E4B9A-9D3A01234567-89AB"}, []string{"no uuid", lower[1:], "{" + lower, lower + "0", "-" + lower, lower + "-", "6f1c8-f2e6f0e4b9a9d3a0123456789ab"}},
			"own_id":  {[]string{lower, strings.ToUpper(lower)}, []string{"no uuid", ""}},
			"small":   {[]string{"1", "-32768"}, []string{"32768", "x", "1.5"}},
			"medium":  {[]string{"2147483647"}, []string{"2147483648", "99999999999999999999"}},
			"real_no": {[]string{"1.5"}, []string{"1e300", "NaN"}},
			"level":   {[]string{"high", "HIGH", "low"}, []string{"higher", "1"}},
		}
		reg := quietRegistry()
		for column := range columns {
			if err := reg.Add(BindFamily[argued](db, "by_"+column, core.Where(filter.Eq(column, filter.Param("value"))))); err != nil {
				t.Fatal(err)
			}
		}
		if err := reg.Watch(Hooks(db)); err != nil {
			t.Fatal(err)
		}
		startRegistry(t, reg)
		open := func(column, text string, asJSON bool) (*core.Grant, error) {
			args := core.TextArgs(map[string]string{"value": text})
			if asJSON {
				args = core.JSONArgs(map[string]json.RawMessage{"value": json.RawMessage(strconv.Quote(text))})
			}
			return reg.Open(t.Context(), "by_"+column, args)
		}
		for column, c := range columns {
			// The first member has the loader learn the columns' types. Arguments
			// are refused before it does as well.
			if bad := c.bad[0]; !isSQLite(db) {
				g, err := open(column, bad, false)
				var argument *core.ArgumentError
				if !errors.As(err, &argument) || argument.Param != "value" {
					t.Errorf("%s = %q, at first: %v", column, bad, err)
				}
				if err == nil {
					g.Close()
				}
			}
			if g, err := open(column, c.good[0], false); err != nil {
				t.Fatalf("%s: %v", column, err)
			} else {
				<-g.View().Loaded()
				if g.View().Len() != 1 {
					t.Errorf("%s: %d rows", column, g.View().Len())
				}
				g.Close()
			}
			for _, asJSON := range []bool{false, true} {
				for _, text := range c.good {
					g, err := open(column, text, asJSON)
					if err != nil {
						t.Errorf("%s = %q: %v", column, text, err)
						continue
					}
					<-g.View().Loaded()
					if same := strings.EqualFold(strings.NewReplacer("-", "", "{", "", "}", "").Replace(text), strings.ReplaceAll(c.good[0], "-", "")); same && g.View().Len() != 1 && (!isSQLite(db) || column != "text_id") {
						t.Errorf("%s = %q: %d rows, the member of %s", column, text, g.View().Len(), g.View().Params())
					}
					g.Close()
				}
				for _, text := range c.bad {
					if isSQLite(db) && (column == "mood" || column == "addr" || column == "text_id" || column == "small" && text == "32768" || column == "medium" && text == "2147483648" || column == "real_no" && text == "1e300") {
						continue // SQLite refuses none
					}
					g, err := open(column, text, asJSON)
					var argument *core.ArgumentError
					if !errors.As(err, &argument) || argument.Param != "value" {
						t.Errorf("%s = %q (in JSON: %t): %v", column, text, asJSON, err)
					}
					if err == nil {
						g.Close()
					}
				}
			}
		}
	})
}

func FuzzParseUUID(f *testing.F) {
	for _, text := range []string{"", "6f1c8f2e-6f0e-4b9a-9d3a-0123456789ab", "{6F1C8F2E6F0E4B9A9D3A0123456789AB}", "6F1C-8F2E-6F0E-4B9A-9D3A-0123-4567-89AB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := model.ParseUUID(text)
		if err != nil {
			return
		}
		again, err := model.ParseUUID(v.String())
		if err != nil || again != v || len(v.String()) != 36 {
			t.Errorf("%q becomes %q and that %q, %v", text, v, again, err)
		}
		want := strings.ToLower(strings.NewReplacer("-", "", "{", "", "}", "").Replace(text))
		if strings.ReplaceAll(v.String(), "-", "") != want {
			t.Errorf("%q becomes %q", text, v)
		}
	})
}

// A good argument is not refused either before the loader has learned the types.
func TestArgumentsBeforeTheTypesAreKnown(t *testing.T) {
	eachWritable(t, func(t *testing.T, db *bun.DB) {
		mustExec(t, db, `CREATE TABLE argued (id BIGINT PRIMARY KEY, mood TEXT NOT NULL, addr TEXT NOT NULL, text_id UUID NOT NULL, own_id UUID NOT NULL,
			small SMALLINT NOT NULL, medium INTEGER NOT NULL, real_no REAL NOT NULL, day DATE NOT NULL, level BIGINT NOT NULL)`)
		for column, text := range map[string]string{
			"mood": "good", "text_id": "{6F1C8F2E6F0E4B9A9D3A0123456789AB}", "own_id": "6F1C8F2E-6F0E-4B9A-9D3A-0123456789AB",
			"small": "-5", "real_no": "1.5", "day": "2024-02-29", "level": "high",
		} {
			l := NewLoader[argued](db)
			s, err := l.Schema()
			if err != nil {
				t.Fatal(err)
			}
			c := s.Columns[s.Column(column)]
			v, err := value.Parse(c.Kind, text)
			if c.Parse != nil {
				v, err = c.Parse(text)
			}
			if err != nil {
				t.Fatalf("%s = %q: %v", column, text, err)
			}
			if detail, err := l.CheckLiteral(t.Context(), column, v); detail != "" || err != nil {
				t.Errorf("%s = %q %s, %v", column, text, detail, err)
			}
		}
	})
}
