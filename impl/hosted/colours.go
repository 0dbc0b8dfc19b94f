package hosted

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// palette are the page's colours by variable of its style sheet, as CSS writes them.
type palette map[string]string

// The page's own colours, where it is light and where it is dark.
var (
	light = palette{"ink": "#10192b", "muted": "#55607a", "paper": "#ffffff", "field": "#f4f6fb", "line": "#8791a8",
		"accent": "#1d4ed8", "accent-ink": "#ffffff", "error": "#b42318", "success": "#067647"}
	dark = palette{"ink": "#eef2fb", "muted": "#a9b4cc", "paper": "#0d1424", "field": "#182238", "line": "#65728f",
		"accent": "#8fb4ff", "accent-ink": "#0b1326", "error": "#ff9a8f", "success": "#6fdba6"}
)

// readableFrom is the contrast from which text can be read (WCAG 2.2, 1.4.3).
const readableFrom = 4.5

// read are the colours of text, and those that it stands on.
var read = []struct {
	text string
	on   []string
}{
	{"ink", []string{"paper", "field"}}, {"muted", []string{"paper"}}, {"error", []string{"paper"}}, {"success", []string{"paper"}},
	{"accent-text", []string{"paper"}}, {"accent-ink", []string{"accent"}},
}

// with is the palette with a program's colours. Text that they would make hard to read is black or white instead,
// whichever is easier. The accent, which may be anything, is also text: that is the variable accent-text.
func (p palette) with(brand palette) palette {
	all := maps.Clone(p)
	for name, value := range brand {
		if _, known := parseColour(value); known {
			all[name] = value
		}
	}
	all["accent-text"] = all["accent"]
	for _, r := range read {
		all[r.text] = readable(all[r.text], all.on(r.on))
	}
	return all
}

func (p palette) on(names []string) []colour {
	var all []colour
	for _, name := range names {
		c, _ := parseColour(p[name])
		all = append(all, c)
	}
	return all
}

// rules are the palette's declarations.
func (p palette) rules() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "--%s: %s; ", name, p[name])
	}
	return strings.TrimSpace(b.String())
}

// readable is a text's colour if it can be read on all of the others, else that, black or white, whichever reads best.
func readable(text string, on []colour) string {
	reads := func(candidate string) float64 {
		c, _ := parseColour(candidate)
		least := math.Inf(1)
		for _, under := range on {
			least = min(least, contrast(c, under))
		}
		return least
	}
	if reads(text) >= readableFrom {
		return text
	}
	return slices.MaxFunc([]string{text, "#000000", "#ffffff"}, func(a, b string) int { return cmp.Compare(reads(a), reads(b)) })
}

// colour is an opaque colour: red, green and blue from 0 to 1, as sRGB has them.
type colour [3]float64

// luminance is how light a colour is, from 0 to 1 (WCAG 2.2, relative luminance).
func (c colour) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast is that of two colours, from 1 to 21 (WCAG 2.2, contrast ratio).
func contrast(a, b colour) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// parseColour reads an opaque colour of CSS: #rgb, #rrggbb, rgb() or hsl().
func parseColour(text string) (colour, bool) {
	if hex, ok := strings.CutPrefix(text, "#"); ok {
		return parseHex(hex)
	}
	name, rest, _ := strings.Cut(text, "(")
	inside, closed := strings.CutSuffix(rest, ")")
	parts := strings.FieldsFunc(inside, func(r rune) bool { return r == ' ' || r == ',' })
	if !closed || len(parts) != 3 {
		return colour{}, false
	}
	switch name {
	case "rgb":
		return parseRGB(parts)
	case "hsl":
		return parseHSL(parts)
	}
	return colour{}, false
}

func parseHex(hex string) (colour, bool) {
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 24)
	return colour{float64(n>>16) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}, err == nil && len(hex) == 6
}

func parseRGB(parts []string) (c colour, ok bool) {
	for i, part := range parts {
		if number, percent := strings.CutSuffix(part, "%"); percent {
			c[i], ok = parseNumber(number, 100)
		} else {
			c[i], ok = parseNumber(part, 255)
		}
		if !ok {
			return colour{}, false
		}
	}
	return c, true
}

// parseHSL reads a hue in degrees, a saturation and a lightness in percent (CSS Color 4, 7.1).
func parseHSL(parts []string) (c colour, ok bool) {
	hue, okHue := parseNumber(parts[0], 360)
	s, okS := strings.CutSuffix(parts[1], "%")
	l, okL := strings.CutSuffix(parts[2], "%")
	saturation, okSaturation := parseNumber(s, 100)
	lightness, okLightness := parseNumber(l, 100)
	if !okHue || !okS || !okL || !okSaturation || !okLightness {
		return colour{}, false
	}
	for i, shift := range []float64{0, 8, 4} {
		k := math.Mod(shift+hue*12, 12)
		c[i] = lightness - saturation*min(lightness, 1-lightness)*max(-1, min(k-3, 9-k, 1))
	}
	return c, true
}

// parseNumber reads a number from 0 to most, as a part of that.
func parseNumber(text string, most float64) (float64, bool) {
	if strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n / most, err == nil && n <= most
}
