package main

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/binderyhq/bindery/core"
)

// Shelf is the type of the subscription's field: rows and version together.
type Shelf struct {
	Version  string    `json:"version"`
	Products []Product `json:"products"`
}

// resolver resolves the fields of subscriptions.
type resolver struct{ reg *core.Registry }

// Shelf is a resolver as gqlgen and graphql-go have them: it returns a channel, which
// it closes in the end. Paste it there as it is. The channel has no buffer: who is
// slow gets the newest version next.
func (r *resolver) Shelf(ctx context.Context, venue string, search *string) (<-chan *Shelf, error) {
	grant, err := r.reg.Open(ctx, "shelf", core.Args{"venue": venue, "search": search})
	if err != nil {
		return nil, err
	}
	shelves := make(chan *Shelf)
	go func() {
		defer close(shelves)
		defer grant.Close()
		for products, err := range core.Follow[Product](ctx, grant) {
			if err != nil { // no leave any more, or the end of the program
				return
			}
			select {
			case shelves <- &Shelf{products.Version().Token, slices.Collect(products.All())}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return shelves, nil
}

// operations are the documents that the server knows. A library parses any document
// instead, and calls the same resolver.
func operations(r *resolver) map[string]operation {
	return map[string]operation{
		`subscription Shelf($venue: String!, $search: String) { shelf(venue: $venue, search: $search) { version products { id name cents } } }`: func(ctx context.Context, variables json.RawMessage) (<-chan any, error) {
			var v struct {
				Venue  string  `json:"venue"`
				Search *string `json:"search"`
			}
			if err := json.Unmarshal(variables, &v); err != nil {
				return nil, err
			}
			shelves, err := r.Shelf(ctx, v.Venue, v.Search)
			return field(ctx, "shelf", shelves), err
		},
	}
}

// field returns what a channel has as the data of a subscription's only field.
func field[T any](ctx context.Context, name string, values <-chan T) <-chan any {
	data := make(chan any)
	go func() {
		defer close(data)
		if values == nil {
			return
		}
		for v := range values {
			select {
			case data <- map[string]any{name: v}:
			case <-ctx.Done():
			}
		}
	}()
	return data
}
