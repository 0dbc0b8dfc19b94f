package ondemand_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/ondemand"
)

const ms = time.Millisecond

func TestADelayIsDrawnFromItsDistribution(t *testing.T) {
	t.Parallel()
	upTo := func(ms int) *int { return &ms }
	for name, c := range map[string]struct {
		delay           ondemand.Delay
		uniform, normal float64
		want            time.Duration
	}{
		"fixed":                              {ondemand.Delay{Distribution: "fixed", MinMs: 200, MaxMs: upTo(900)}, 0.7, 3, 200 * ms},
		"uniform, the least":                 {ondemand.Delay{Distribution: "uniform", MinMs: 200, MaxMs: upTo(900)}, 0, 3, 200 * ms},
		"uniform, in the middle":             {ondemand.Delay{Distribution: "uniform", MinMs: 200, MaxMs: upTo(900)}, 0.5, 3, 550 * ms},
		"uniform without a most":             {ondemand.Delay{Distribution: "uniform", MinMs: 200}, 0.5, 3, 200 * ms},
		"lognormal, the median":              {ondemand.Delay{Distribution: "lognormal", MinMs: 200, MaxMs: upTo(900)}, 0.7, 0, 200 * ms},
		"lognormal, the 99th percentile":     {ondemand.Delay{Distribution: "lognormal", MinMs: 200, MaxMs: upTo(900)}, 0.7, 2.3263478740408408, 900 * ms},
		"lognormal, the first percentile":    {ondemand.Delay{Distribution: "lognormal", MinMs: 200, MaxMs: upTo(800)}, 0.7, -2.3263478740408408, 50 * ms},
		"lognormal without a spread":         {ondemand.Delay{Distribution: "lognormal", MinMs: 200}, 0.7, 5, 200 * ms},
		"lognormal from nothing":             {ondemand.Delay{Distribution: "lognormal", MinMs: 0, MaxMs: upTo(0)}, 0.7, 5, ms},
		"lognormal, where it would not end":  {ondemand.Delay{Distribution: "lognormal", MinMs: 1, MaxMs: upTo(60_000)}, 0.7, 9, time.Minute},
		"lognormal, where it would overflow": {ondemand.Delay{Distribution: "lognormal", MinMs: 1, MaxMs: upTo(60_000)}, 0.7, 40, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.InDelta(t, c.want, c.delay.Of(c.uniform, c.normal), float64(time.Microsecond))
		})
	}
}

func TestDelaysAreAsManyAsTheirDistributionSays(t *testing.T) {
	t.Parallel()
	const calls, most = 20_000, 900
	dice := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // for the same numbers each time
	of := func(distribution string) (below func(ms float64) float64) {
		high := most
		d := ondemand.Delay{Distribution: distribution, MinMs: 200, MaxMs: &high}
		var all []time.Duration
		for range calls {
			all = append(all, d.Of(dice.Float64(), dice.NormFloat64()))
		}
		return func(ms float64) float64 {
			n := 0
			for _, one := range all {
				if float64(one) < ms*float64(time.Millisecond) {
					n++
				}
			}
			return float64(n) / calls
		}
	}
	uniform, lognormal := of("uniform"), of("lognormal")
	require.Zero(t, uniform(200))
	require.InDelta(t, 0.5, uniform(550), 0.02)
	require.InDelta(t, 1.0, uniform(900), 0)
	require.InDelta(t, 0.5, lognormal(200), 0.02)
	require.InDelta(t, 0.99, lognormal(900), 0.005)
}

func TestNoDelayIsNegativeOrLongerThanAMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		least := rapid.IntRange(0, 60_000).Draw(t, "min")
		most := rapid.IntRange(least, 60_000).Draw(t, "max")
		d := ondemand.Delay{Distribution: rapid.SampledFrom([]string{"fixed", "uniform", "lognormal"}).Draw(t, "distribution"), MinMs: least, MaxMs: &most}
		got := d.Of(rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "uniform"), rapid.Float64Range(-40, 40).Draw(t, "normal"))
		if got < 0 || got > time.Minute {
			t.Fatalf("%v is %v", d, got)
		}
	})
}
