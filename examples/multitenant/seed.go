package main

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

// demoPassword is everybody's password. The page says so.
const demoPassword = "correct horse"

// The companies of the demonstration.
const (
	alder = "alder"
	brook = "brook"
)

func seedTenants() []Tenant {
	return []Tenant{{ID: alder, Name: "Alder Joinery"}, {ID: brook, Name: "Brook Bakery"}}
}

func seedPeople() []Person {
	return []Person{
		{Name: "ada", FullName: "Ada Lund", TenantID: alder, Role: roleAdmin},
		{Name: "ravi", FullName: "Ravi Mehta", TenantID: alder, Role: roleReader},
		{Name: "bea", FullName: "Bea Okafor", TenantID: brook, Role: roleAdmin},
		{Name: "tom", FullName: "Tom Reyes", TenantID: brook, Role: roleReader},
		{Name: "olga", FullName: "Olga Petrov", Role: roleOperator},
	}
}

// seedProjects are the projects with their tasks.
var seedProjects = []struct {
	project Project
	tasks   []Task
}{
	{Project{ID: 1, TenantID: alder, Name: "Library shelving"}, []Task{
		{Title: "Measure the reading room again", State: "done", Assignee: "Ada"},
		{Title: "Order quarter-sawn oak, 40 boards", State: "done", Assignee: "Ravi"},
		{Title: "Cut the uprights", State: "doing", Assignee: "Mika"},
		{Title: "Test the hidden brackets under load", State: "doing", Assignee: "Ada"},
		{Title: "Oil and two days to dry", State: "todo"},
		{Title: "Deliver before the reopening", State: "todo", Assignee: "Ravi"},
	}},
	{Project{ID: 2, TenantID: alder, Name: "Staircase, Mill Lane"}, []Task{
		{Title: "Drawings signed by the client", State: "done", Assignee: "Ada"},
		{Title: "Steam the handrail", State: "doing", Assignee: "Mika"},
		{Title: "Find someone who turns spindles", State: "todo"},
	}},
	{Project{ID: 3, TenantID: brook, Name: "Winter menu"}, []Task{
		{Title: "Rye with caraway: third trial", State: "doing", Assignee: "Bea"},
		{Title: "Photograph the stollen", State: "todo", Assignee: "Tom"},
		{Title: "Cost the saffron buns", State: "done", Assignee: "Bea"},
	}},
	{Project{ID: 4, TenantID: brook, Name: "Second oven"}, []Task{
		{Title: "Ask the landlord about the flue", State: "done", Assignee: "Bea"},
		{Title: "Compare deck oven quotes", State: "doing", Assignee: "Tom"},
		{Title: "Book the electrician", State: "todo"},
		{Title: "Move the mixers on a Sunday", State: "todo"},
	}},
}

func insertSeed(ctx context.Context, tx bun.Tx, work int) error {
	people := seedPeople()
	for i := range people {
		var err error
		if people[i].Password, err = hashPassword(demoPassword, work); err != nil {
			return err
		}
	}
	tenants := seedTenants()
	models := []any{&tenants, &people}
	for _, p := range seedProjects {
		tasks := make([]Task, len(p.tasks))
		for i, t := range p.tasks {
			t.TenantID, t.ProjectID = p.project.TenantID, p.project.ID
			tasks[i] = t
		}
		models = append(models, &p.project, &tasks)
	}
	for _, m := range models {
		if _, err := tx.NewInsert().Model(m).Exec(ctx); err != nil {
			return fmt.Errorf("filling the tables: %w", err)
		}
	}
	return nil
}
