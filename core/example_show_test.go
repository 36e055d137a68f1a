package core_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

type member struct {
	ID     int    `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Visits int    `json:"visits"`
}

type publicMember struct {
	ID       int    `json:"id"`
	Initials string `json:"initials"`
}

// public is what everyone may know of a member.
func public(m member) publicMember {
	var initials strings.Builder
	for _, word := range strings.Fields(m.Name) {
		initials.WriteString(string([]rune(word)[:1]))
	}
	return publicMember{ID: m.ID, Initials: initials.String()}
}

// Two bindings over one table show its rows differently: one some of the
// columns, one what a function makes of them.
func ExampleSerialize() {
	table := coretest.NewTable[member]("members", "id")
	table.Put(member{ID: 1, Name: "Ada Lovelace", Email: "ada@example.org"})
	source := &coretest.Source{}

	staff := core.Bind("staff", table, core.Columns("id", "name", "email"))
	everyone := core.Bind("everyone", table, core.Serialize(public))

	ctx := context.Background()
	reg := core.NewRegistry()
	reg.Add(staff, everyone)
	reg.Watch(source)
	if err := reg.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(staff.Snapshot().Body()), string(everyone.Snapshot().Body()))

	// A change that nobody sees is no new version: clients get a 304.
	before := staff.Version()
	_ = source.Report(ctx, table.Put(member{ID: 1, Name: "Ada Lovelace", Email: "ada@example.org", Visits: 1}))
	fmt.Println("the same version:", staff.Version() == before)

	// Go code sees whole rows.
	ada, _ := staff.Get(driver.KeyOf(1))
	fmt.Println("visits:", ada.Visits)

	fmt.Println(reg.Shutdown(ctx))
	// Output:
	// [{"id":1,"name":"Ada Lovelace","email":"ada@example.org"}]
	// [{"id":1,"initials":"AL"}]
	// the same version: true
	// visits: 1
	// <nil>
}
