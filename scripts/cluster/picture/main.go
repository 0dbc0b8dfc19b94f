// Command picture draws how long each kind of fault was felt, median and maximum, from the report of scripts/cluster/chaos:
//
//	go run . report.json recovery.svg
//
// It is a module of its own: nothing else needs a library that draws.
package main

import (
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"os"
	"sort"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: picture report.json recovery.svg")
		os.Exit(2)
	}
	if err := draw(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func draw(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var report struct {
		Seed  uint64
		Waves []struct {
			Faults []struct{}
			Worst  string
			Felt   time.Duration
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return err
	}
	times := map[string][]float64{}
	faults := 0
	for _, w := range report.Waves {
		times[w.Worst] = append(times[w.Worst], w.Felt.Seconds())
		faults += len(w.Faults)
	}
	var names []string
	for name, of := range times {
		sort.Float64s(of)
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := times[names[i]], times[names[j]]
		if a[len(a)-1] != b[len(b)-1] {
			return a[len(a)-1] < b[len(b)-1]
		}
		return names[i] > names[j]
	})
	var medians, maxima plotter.Values
	for _, name := range names {
		of := times[name]
		medians, maxima = append(medians, of[len(of)/2]), append(maxima, of[len(of)-1])
	}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("How long a fault was felt, as the worst of its wave: %d faults in %d waves, seed %d", faults, len(report.Waves), report.Seed)
	p.X.Label.Text = "seconds until requests were answered as before"
	for _, bars := range []struct {
		values plotter.Values
		label  string
		colour color.Color
		offset vg.Length
	}{{maxima, "maximum", color.RGBA{R: 0xb8, G: 0xc7, B: 0xd9, A: 0xff}, 0}, {medians, "median", color.RGBA{R: 0x1f, G: 0x4e, B: 0x79, A: 0xff}, 0}} {
		chart, err := plotter.NewBarChart(bars.values, vg.Points(9))
		if err != nil {
			return err
		}
		chart.Horizontal, chart.Color, chart.Offset = true, bars.colour, bars.offset
		chart.LineStyle.Width = 0
		p.Add(chart)
		p.Legend.Add(bars.label, chart)
	}
	p.NominalY(names...)
	p.X.Max = 5 * math.Ceil(p.X.Max/5)
	// Who shows it has other fonts than who measured it.
	p.Y.Padding = 1.5 * vg.Centimeter
	p.Legend.XOffs = -vg.Centimeter
	p.Legend.Padding = 0.2 * vg.Centimeter
	return p.Save(22*vg.Centimeter, vg.Length(len(names)+5)*0.6*vg.Centimeter, to)
}
