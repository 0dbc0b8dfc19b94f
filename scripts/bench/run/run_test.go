package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		env  map[string]string
		want settings
		says string
	}{
		{"nothing set", nil, settings{5 * time.Second, 5, []int{2, 16, 64}, 100_000, "latest"}, ""},
		{"all set", map[string]string{"ROUND": "4s", "ROUNDS": "3", "CONNECTIONS": "8", "CARDS": "10", "LABEL": "before"},
			settings{4 * time.Second, 3, []int{8}, 10, "before"}, ""},
		{"no number", map[string]string{"ROUNDS": "many"}, settings{}, `ROUNDS must be a whole number from 1, not "many"`},
		{"no connections", map[string]string{"CONNECTIONS": "16 0"}, settings{}, "CONNECTIONS must be"},
		{"less than wrk can do", map[string]string{"ROUND": "500ms"}, settings{}, "ROUND must be whole seconds"},
		{"a label that would end the section", map[string]string{"LABEL": "<!--"}, settings{}, "LABEL must be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := readSettings(func(name string) string { return test.env[name] })
			if test.says != "" {
				require.ErrorContains(t, err, test.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestACallThatFailedIsNoFigure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, out, says string }{
		{"all well", "Running 1s test\nRequests/sec: 1\nbench 5000 2000000 0 0 0 0 0\n", ""},
		{"refused", "bench 5000 2000000 0 0 0 0 7\n", "of 5000 calls 7 were refused"},
		{"not in time", "bench 5000 2000000 0 0 0 1 0\n", "in time 1"},
		{"none", "bench 0 2000000 0 0 0 0 0\n", "no calls"},
		{"cut off", "Running 1s test\n", "did not come to its end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := rate([]byte(test.out))
			if test.says != "" {
				require.ErrorContains(t, err, test.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 2500.0, got)
		})
	}
}

func TestASectionTakesThePlaceOfTheOneWithItsLabel(t *testing.T) {
	t.Parallel()
	const head, tail = "# Title\n\n### not ours\n\n" + opening, closing + "\nmore\n"
	for _, test := range []struct{ name, inside, label, want string }{
		{"the first", "", "before", "\n### before\n\nnew\n\n"},
		{"another", "\n### before\n\nold\n\n", "after", "\n### before\n\nold\n\n### after\n\nnew\n\n"},
		{"once more", "\n### before\n\nold\n\n### after\n\nold\n\n", "before", "\n### before\n\nnew\n\n### after\n\nold\n\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := place(head+test.inside+tail, test.label, "### "+test.label+"\n\nnew\n")
			require.NoError(t, err)
			require.Equal(t, head+test.want+tail, got)
		})
	}
	_, err := place("# Title\n", "before", "")
	require.Error(t, err)
}

func TestRatiosAreThoseOfMedians(t *testing.T) {
	t.Parallel()
	middle, low, high := result{bare: []float64{100, 200, 400}, vault: []float64{50, 150, 100}}.ratio()
	require.Equal(t, []float64{0.5, 0.25, 0.75}, []float64{middle, low, high})
	require.Equal(t, 2.5, median([]float64{4, 1, 3, 2}))
}

func TestWhatPrivateKeysLeave(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 2000, bound(2000, 0, 2), 1e-9, "nothing is in the way")
	require.InDelta(t, 500, bound(1000, time.Millisecond, 2), 1e-9, "a millisecond of two cores is as long as all the rest")
}

func TestRepliesOfWritesAreSuccesses(t *testing.T) {
	t.Parallel()
	require.NoError(t, says("code", "OK")([]byte(`{"code":"OK","more":1}`)))
	require.NoError(t, networkDone([]byte(`{"NISrvResponse":{"response_card_pin_change":{"exception_details":{"status":"S"}}}}`)))
	require.NoError(t, empty(nil))
	for name, err := range map[string]error{
		"another code":  says("code", "OK")([]byte(`{"code":"INVALID"}`)),
		"no JSON":       says("code", "OK")([]byte(`OK`)),
		"a failure":     networkDone([]byte(`{"NISrvResponse":{"response_card_pin_change":{"exception_details":{"status":"F"}}}}`)),
		"a body":        empty([]byte(`{}`)),
		"no token":      accosaDone([]byte(`{}`)),
		"a token of us": accosaDone([]byte(`{"token":"AAAA"}`)),
	} {
		require.Error(t, err, name)
	}
}

func TestTheWritesAreATable(t *testing.T) {
	t.Parallel()
	all := written{bare: []float64{2000}, operation: time.Millisecond}
	for i := range writes {
		all.writes, all.trips = append(all.writes, []float64{800}), append(all.trips, 2)
		all.sets = append(all.sets, []float64{1000 - 10*float64(i)}) // each beside its own
	}
	text := about{}.writesSection(settings{round: time.Second, rounds: 1, label: "latest"}, all)
	require.Contains(t, text, "### latest, every contract's write\n")
	require.Contains(t, text, "| 800 | 0.80 (0.80 to 0.80) | 0.40 | 2 | ≥ 0.80, met |\n")
	require.Contains(t, text, "| 800 | 0.83 (0.83 to 0.83) | 0.40 | 2 | ≥ 0.80, met |\n")
	require.Contains(t, text, "Thredd's set 980, 0.49 of it.")
	require.Contains(t, text, "| 2 | by its arithmetic |\n")
}

func TestSizesGrow(t *testing.T) {
	t.Parallel()
	got, err := sizes("10000 1000000")
	require.NoError(t, err)
	require.Equal(t, []int{10_000, 1_000_000}, got)
	for _, wrong := range []string{"", "10000 10000", "10000 many", "0"} {
		_, err := sizes(wrong)
		require.Error(t, err, wrong)
	}
}

func TestASizeIsHeldAgainstTheSmallestInTheSameRounds(t *testing.T) {
	t.Parallel()
	of := func(rounds ...float64) map[string][]float64 {
		rates := map[string][]float64{}
		for _, c := range grown {
			rates[c.name] = rounds
		}
		return rates
	}
	g := &growth{bench: &bench{settings: settings{label: "growth"}}, Stages: []*stage{
		{Cards: 10, Import: 1, Database: 50},
		{Cards: 100, Import: 10, Database: 400, Rates: of(450, 90, 500), Beside: of(500, 100, 400)},
		{Cards: 1000, Import: 100, Database: 4000, Rates: of(800), Beside: of(1000)},
	}}
	section := g.section(about{})
	require.Regexp(t, `\| 10 \|.* 5 bytes \|( 1000 \|){4}\n`, section, "beside the largest")
	require.Regexp(t, `\| 100 \|.* 4 bytes \|( 450: 0.90 \(0.90 to 1.25\) \|){4}\n`, section)
	require.Regexp(t, `\| 1000 \|.* 4 bytes \|( 800: 0.80 \(0.80 to 0.80\) \|){4}\n`, section)
}
