package main

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
)

var picture = flag.String("storefront.picture", "", "write a picture of the page, as the README shows it, into this file")

// TestPicture makes the README's picture anew:
//
//	go test ./examples/storefront -run TestPicture -storefront.picture ../../docs/storefront.png
func TestPicture(t *testing.T) {
	if *picture == "" {
		t.Skip("nobody asked for one: see -storefront.picture")
	}
	browser := browsertest.New(t, 1280, 760)
	r := open(t, "", 1000)
	tab := browser.NewTab(t)
	browsertest.Do(t, tab, chromedp.Navigate(r.url))
	browsertest.Shows(t, tab, "live", live)
	browsertest.Shows(t, tab, "rows", `document.querySelectorAll("#rows tr").length > 10`)
	browsertest.Shows(t, tab, "the ten cheapest", `document.querySelectorAll("#cheapest > li").length === 10`)
	for i := range 4 { // so that the page has something to tell
		r.do("PATCH", "api/products/"+string(rune('1'+i)), map[string][]string{"Content-Type": {"application/json"}}, `{"price":9.9`+string(rune('1'+i))+`}`)
	}
	browsertest.Shows(t, tab, "a change", priceShown(2, "9.92"))
	var shot []byte
	browsertest.Do(t, tab, chromedp.CaptureScreenshot(&shot))
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	var small bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&small, fewColors(full, 160)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*picture, small.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, of %d", small.Len(), len(shot))
}

// fewColors returns the picture in its n most frequent colours.
func fewColors(full image.Image, n int) image.Image {
	bounds := full.Bounds()
	times := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(full.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			times[at(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(times), func(a, b color.RGBA) int { return times[b] - times[a] })
	palette := color.Palette{}
	for _, c := range colors[:min(n, len(colors))] {
		palette = append(palette, c)
	}
	out := image.NewPaletted(bounds, palette)
	nearest := map[color.RGBA]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(palette.Index(c))
				nearest[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	return out
}
