package hosted

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseColour(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]colour{
		"#000": {0, 0, 0}, "#0f0": {0, 1, 0}, "#FFFFFF": {1, 1, 1}, "#ff0033": {1, 0, 0.2},
		"rgb(255, 0, 51)": {1, 0, 0.2}, "rgb(255 0 51)": {1, 0, 0.2}, "rgb(100%,0%,20%)": {1, 0, 0.2},
		"hsl(0, 100%, 50%)": {1, 0, 0}, "hsl(120 100% 25%)": {0, 0.5, 0}, "hsl(240, 0%, 40%)": {0.4, 0.4, 0.4}, "hsl(60 100% 50%)": {1, 1, 0},
		"hsl(0 100% 75%)":   {1, 0.5, 0.5},
		"hsl(360 100% 50%)": {1, 0, 0},
	} {
		c, ok := parseColour(text)
		require.True(t, ok, text)
		require.InDeltaSlice(t, want[:], c[:], 1e-9, text)
	}
	for _, text := range []string{"", "#", "#12", "#12345", "#1234567", "#ggg", "#+12345", "rgb()", "rgb(1, 2)", "rgb(1, 2, 3, .5)", "rgb(256, 0, 0)", "rgb(1, 2, 3",
		"hsl(0, 100, 50%)", "hsl(0, 100%, 50)", "hsl(361, 1%, 1%)", "hsl(., 1%, 1%)", "rgb(1e2, 0, 0)", "rgb(NaN, 0, 0)", "red", "lab(1, 2, 3)"} {
		_, ok := parseColour(text)
		require.False(t, ok, text)
	}
}

func TestContrast(t *testing.T) {
	t.Parallel()
	of := func(a, b string) float64 {
		x, _ := parseColour(a)
		y, _ := parseColour(b)
		return contrast(x, y)
	}
	require.InDelta(t, 21, of("#000", "#fff"), 1e-9)
	require.InDelta(t, 1, of("#777", "#777"), 1e-9)
	require.InDelta(t, 19.798, of("#0a0a0a", "#fff"), 0.001)
	require.InDelta(t, 4.478, of("#777777", "#ffffff"), 0.001)
	require.InDelta(t, 1.074, of("#ff0", "#fff"), 0.001)
}

// Whatever a program chooses, what is to be read can be read.
func TestTextCanBeReadInAnyColours(t *testing.T) {
	t.Parallel()
	values := []string{"#000", "#fff", "#ff0", "#777", "#767676", "#e11", "#0a7", "rgb(255, 255, 0)", "hsl(210 100% 50%)", "#ffb000", "#00f", "#0f0"}
	for _, base := range []palette{light, dark} {
		require.Equal(t, base["accent-ink"], base.with(nil)["accent-ink"], "the page's own colours can be read as they are")
		for _, name := range []string{"accent", "accent-ink", "ink", "muted", "error", "success", "paper"} {
			for _, value := range values {
				brand := palette{name: value}
				if name == "paper" {
					brand["field"] = value
				}
				got := base.with(brand)
				for _, r := range read {
					c, ok := parseColour(got[r.text])
					require.True(t, ok)
					for _, under := range got.on(r.on) {
						require.GreaterOrEqual(t, contrast(c, under), readableFrom, "%s %s: %s", name, value, r.text)
					}
				}
			}
		}
	}
}

func TestInkOnTheAccentIsDerived(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		brand     palette
		ink, text string
	}{
		"none":                          {nil, "#ffffff", "#1d4ed8"},
		"yellow, which white is not on": {palette{"accent": "#ffeb00"}, "#000000", "#000000"},
		"white on yellow, asked for":    {palette{"accent": "#ffeb00", "accent-ink": "#ffffff"}, "#000000", "#000000"},
		"a dark one":                    {palette{"accent": "#0f3d3a"}, "#ffffff", "#0f3d3a"},
		"an ink that can be read":       {palette{"accent": "#ffeb00", "accent-ink": "#3a2f00"}, "#3a2f00", "#000000"},
		"black on a dark one":           {palette{"accent": "#00205b", "accent-ink": "#000"}, "#ffffff", "#00205b"},
		"one that is no colour":         {palette{"accent": "#000}"}, "#ffffff", "#1d4ed8"},
	} {
		got := light.with(c.brand)
		require.Equal(t, c.ink, got["accent-ink"], name)
		require.Equal(t, c.text, got["accent-text"], name)
	}
	// Where nothing reads well on both, what reads best.
	require.Equal(t, "#ffffff", light.with(palette{"paper": "#000", "field": "#888"})["ink"])
	require.Equal(t, "#767676", light.with(palette{"paper": "#000", "field": "#eee", "ink": "#767676"})["ink"])
	// Where both black and white do, the one that is easier.
	require.Equal(t, "#000000", light.with(palette{"accent": "#767676", "accent-ink": "#777"})["accent-ink"])
	require.Equal(t, "#ffffff", light.with(palette{"accent": "#757575", "accent-ink": "#777"})["accent-ink"])
	require.Contains(t, dark.with(nil).rules(), "--accent: #8fb4ff; --accent-ink: #0b1326; --accent-text: #8fb4ff; --error")
}
