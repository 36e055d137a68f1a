package main

import (
	"context"
	_ "embed"
	"fmt"
	"hash/fnv"
	"math"
	"strings"

	"github.com/uptrace/bun"
)

// catalog lists "Artist – Album", one a line. The names are from the Chinook
// sample database; CHINOOK-LICENSE.md is its licence.
//
//go:embed catalog.txt
var catalog string

// seedBatch is the number of rows that one INSERT carries.
const seedBatch = 500

// format is what a record comes as.
type format struct {
	name      string
	low, high float64 // the range of prices, in whole units
}

var formats = []format{
	{"LP", 14, 34},
	{"CD", 7, 19},
	{"Cassette", 3, 12},
	{"LP 180 g", 24, 49},
}

// seedProducts makes n products, the same ones for every run: half of them in
// each venue, nine in ten active (exactly so when n is a multiple of ten). No
// two bear the same name: when every album has come in every format, pressings
// are numbered. Ids and times are left to the database.
func seedProducts(n int) []Product {
	albums := strings.Split(strings.TrimSpace(catalog), "\n")
	venues := [...]string{venueStore, venueOnline}
	products := make([]Product, 0, max(n, 0))
	for i := range n {
		// Each round passes through all albums, in steps that spread an
		// artist's albums out; the formats are dealt so that over as many
		// rounds as there are formats every album comes once in each.
		round, place := i/len(albums), i%len(albums)
		album := albums[place*step(len(albums))%len(albums)]
		f := formats[(place+round)%len(formats)]
		name := album + " (" + f.name
		if pressing := round/len(formats) + 1; pressing > 1 {
			name += fmt.Sprintf(", pressing %d", pressing)
		}
		name += ")"
		products = append(products, Product{
			Name:  name,
			Venue: venues[i%len(venues)],
			Price: priceOf(name, f),
			// The inactive one in ten moves by an odd number of places, so
			// that it is not always of the same venue.
			Active: i%10 != (i/10*7+3)%10,
		})
	}
	return products
}

// step returns a stride near the golden section of n that has no divisor in
// common with it: a walk in such strides visits all n places once.
func step(n int) int {
	s := max(1, int(float64(n)*0.618))
	for gcd(s, n) != 1 {
		s++
	}
	return s
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// priceOf derives a price from the name. Most are in the lower half of the
// format's range, and all end in a 5 or a 9, as shops like it.
func priceOf(name string, f format) Price {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	sum := h.Sum64()
	part := float64(sum%1000) / 1000
	whole := math.Floor(f.low + (f.high-f.low)*math.Pow(part, 1.4))
	cents := float64(sum/1000%10*10 + 5 + sum/10_000%2*4)
	return Price(math.Round(whole*100+cents) / 100)
}

// insertSeed writes the products, in statements of bounded size.
func insertSeed(ctx context.Context, db bun.IDB, products []Product) error {
	for len(products) > 0 {
		batch := products[:min(seedBatch, len(products))]
		products = products[len(batch):]
		if _, err := db.NewInsert().Model(&batch).Exec(ctx); err != nil {
			return fmt.Errorf("filling table \"products\": %w", err)
		}
	}
	return nil
}
