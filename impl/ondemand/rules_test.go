package ondemand_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/ondemand"
)

// dice fall as they are told to.
func dice(uniform, normal float64) ondemand.Dice {
	return ondemand.Dice{Uniform: func() float64 { return uniform }, Normal: func() float64 { return normal }}
}

func rulesOf(t testing.TB, d ondemand.Dice, all ...ondemand.Rule) *ondemand.Rules {
	t.Helper()
	r := ondemand.NewRules(catalogue(), nil, d)
	for _, rule := range all {
		_, err := r.Add(rule)
		require.NoError(t, err)
	}
	return r
}

func TestTheFirstRuleThatFitsIsTaken(t *testing.T) {
	t.Parallel()
	call := ondemand.Call{Contract: "thredd", Operation: "setCardPin", Client: "thredd-sandbox"}
	onCard := call
	onCard.Card = "c1"
	for name, c := range map[string]struct {
		rules []ondemand.Rule
		call  ondemand.Call
		want  string // the rule's id
	}{
		"none":                                {nil, call, ""},
		"of any call":                         {[]ondemand.Rule{{ID: "a", Fault: "database"}}, call, "a"},
		"the first of two":                    {[]ondemand.Rule{{ID: "a", Fault: "database"}, {ID: "b", Drop: "after"}}, call, "a"},
		"of the client":                       {[]ondemand.Rule{{ID: "a", Client: "thredd-sandbox", Fault: "database"}}, call, "a"},
		"of another client":                   {[]ondemand.Rule{{ID: "a", Client: "issuer-sandbox", Fault: "database"}, {ID: "b", Drop: "after"}}, call, "b"},
		"of the operation":                    {[]ondemand.Rule{{ID: "a", Operation: "setCardPin", Fault: "database"}}, call, "a"},
		"of another operation":                {[]ondemand.Rule{{ID: "a", Operation: "getCardPin", Fault: "database"}}, call, ""},
		"of the row's operation":              {[]ondemand.Rule{{ID: "a", Row: "setCardPin/card-unknown"}}, call, "a"},
		"of the operation of another row":     {[]ondemand.Rule{{ID: "a", Row: "getCardPin/card-unknown"}}, call, ""},
		"of a card, before it is found":       {[]ondemand.Rule{{ID: "a", Card: "c1", Fault: "database"}}, call, ""},
		"of a card, once it is found":         {[]ondemand.Rule{{ID: "a", Card: "c1", Fault: "database"}}, onCard, "a"},
		"of another card":                     {[]ondemand.Rule{{ID: "a", Card: "c2", Fault: "database"}}, onCard, ""},
		"of any card, once one is found":      {[]ondemand.Rule{{ID: "a", Fault: "database"}}, onCard, ""},
		"of a card and another operation":     {[]ondemand.Rule{{ID: "a", Card: "c1", Operation: "getCardPin", Fault: "database"}}, onCard, ""},
		"of chance that falls":                {[]ondemand.Rule{{ID: "a", Fault: "database", Probability: new(0.51)}}, call, "a"},
		"of chance that does not":             {[]ondemand.Rule{{ID: "a", Fault: "database", Probability: new(0.5)}, {ID: "b", Drop: "after"}}, call, "b"},
		"of no chance":                        {[]ondemand.Rule{{ID: "a", Fault: "database", Probability: new(0.0)}}, call, ""},
		"of a row that is another contract's": {[]ondemand.Rule{{ID: "a", Row: "createCard/program-unknown"}}, ondemand.Call{Contract: "thredd", Operation: "createCard"}, ""},
		"of a row of either contract's":       {[]ondemand.Rule{{ID: "a", Row: "createCard/card-created"}}, ondemand.Call{Contract: "thredd", Operation: "createCard"}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rulesOf(t, dice(0.5, 0), c.rules...)
			effect, taken := r.Take(c.call)
			require.Equal(t, c.want, effect.Rule)
			require.Equal(t, c.want != "", taken)
			for _, rule := range r.List() {
				require.Equal(t, map[bool]int64{true: 1}[rule.ID == c.want], rule.Taken, rule.ID)
			}
		})
	}
}

func TestAnEffectIsWhatTheRuleSays(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, dice(0.5, 0), ondemand.Rule{ID: "all", Row: "setCardPin/card-unknown", Fault: "database", Drop: ondemand.DropAfter,
		Delay: &ondemand.Delay{Distribution: ondemand.Uniform, MinMs: 100, MaxMs: new(300)}})
	got, taken := r.Take(ondemand.Call{Contract: "thredd", Operation: "setCardPin"})
	require.True(t, taken)
	require.Equal(t, "setCardPin/card-unknown", got.Row.String())
	require.Equal(t, "thredd", got.Row.Contract)
	got.Row = nil
	require.Equal(t, ondemand.Effect{Rule: "all", Fault: "database", Drop: "after", Delay: 200 * time.Millisecond}, got)
}

func TestARuleThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, dice(0, 0), ondemand.Rule{ID: "a", Drop: "before"})
	for name, c := range map[string]struct {
		rule ondemand.Rule
		want error
	}{
		"no effect":                   {ondemand.Rule{ID: "b", Operation: "setCardPin"}, ondemand.ErrNoEffect},
		"no such row":                 {ondemand.Rule{Row: "setCardPin/none"}, ondemand.ErrRowUnknown},
		"a row without an operation":  {ondemand.Rule{Row: "card-unknown"}, ondemand.ErrRowUnknown},
		"a row of another operation":  {ondemand.Rule{Operation: "getCardPin", Row: "setCardPin/card-unknown"}, ondemand.ErrRowUnknown},
		"a delay that is crossed":     {ondemand.Rule{Delay: &ondemand.Delay{Distribution: "uniform", MinMs: 2, MaxMs: new(1)}}, ondemand.ErrDelayCrossed},
		"the id of another":           {ondemand.Rule{ID: "a", Drop: "after"}, ondemand.ErrDuplicate},
		"the id of another, and more": {ondemand.Rule{ID: "a"}, ondemand.ErrNoEffect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Add(c.rule)
			require.ErrorIs(t, err, c.want)
			require.Len(t, r.List(), 1)
		})
	}
}

func TestRulesAreListedRemovedAndCleared(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, dice(0, 0))
	ids := func() (all []string) {
		for _, rule := range r.List() {
			all = append(all, rule.ID)
		}
		return all
	}
	drawn, err := r.Add(ondemand.Rule{Row: "setCardPin/card-unknown"})
	require.NoError(t, err)
	require.Regexp(t, `^[a-z0-9]{26}$`, drawn.ID)
	require.Equal(t, "setCardPin", drawn.Operation)
	for _, id := range []string{"b", "c", "d"} {
		_, err := r.Add(ondemand.Rule{ID: id, Card: "c1", Drop: "before"})
		require.NoError(t, err)
	}
	require.Equal(t, []string{drawn.ID, "b", "c", "d"}, ids())
	require.True(t, r.Remove("b"))
	require.False(t, r.Remove("b"))
	require.Equal(t, []string{drawn.ID, "c", "d"}, ids())
	effect, _ := r.Take(ondemand.Call{Card: "c1"})
	require.Equal(t, "c", effect.Rule)
	for i := range ondemand.MaxRules - 3 {
		_, err := r.Add(ondemand.Rule{ID: fmt.Sprint("more-", i), Drop: "before"})
		require.NoError(t, err)
	}
	_, err = r.Add(ondemand.Rule{ID: "one-too-many", Drop: "before"})
	require.ErrorIs(t, err, ondemand.ErrTooMany)
	r.Clear()
	require.Empty(t, r.List())
	_, taken := r.Take(ondemand.Call{Card: "c1"})
	require.False(t, taken)
}

func TestACardsFateComesAfterRulesAndStays(t *testing.T) {
	t.Parallel()
	ids := map[string]string{"database_gone": "c1", "slow": "c2", "lost": "c3"}
	fates := ondemand.FateRules(catalogue().Fates(), func(card string) string { return ids[card] })
	fates = slices.DeleteFunc(fates, func(r ondemand.Rule) bool { return r.PIN != "" })
	require.Len(t, fates, 2, "a state needs no rule")
	r := ondemand.NewRules(catalogue(), fates, dice(0, 0))
	onCard := ondemand.Call{Contract: "thredd", Operation: "setCardPin", Card: "c1"}
	effect, taken := r.Take(onCard)
	require.True(t, taken)
	require.Equal(t, ondemand.Effect{Rule: "card-database-gone", Fault: "database"}, effect)
	onCard.Card = "c2"
	effect, _ = r.Take(onCard)
	require.Equal(t, ondemand.Effect{Rule: "card-slow", Delay: 3 * time.Second}, effect)
	_, taken = r.Take(ondemand.Call{Contract: "thredd", Operation: "setCardPin", Card: "c3"})
	require.False(t, taken)

	onCard.Card = "c1"
	_, err := r.Add(ondemand.Rule{ID: "mine", Card: "c1", Drop: "before", Times: 1})
	require.NoError(t, err)
	effect, _ = r.Take(onCard)
	require.Equal(t, "mine", effect.Rule)
	effect, _ = r.Take(onCard)
	require.Equal(t, "card-database-gone", effect.Rule)
	require.Len(t, r.List(), 1)
	r.Clear()
	_, taken = r.Take(onCard)
	require.True(t, taken)
}

func TestAnOperationThatThereIsNotIsRefusedWithThoseOfALikeName(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, dice(0, 0))
	for name, near := range map[string][]string{
		"setcardpin":       {"setCardPin", "getCardPin"},
		"setCardPn":        {"setCardPin", "getCardPin", "getCard"},
		"getCardPinStatuz": {"getCardPinStatus", "getPinStatus"},
		"moveMountains":    nil,
		"x":                nil,
	} {
		_, err := r.Add(ondemand.Rule{Operation: name, Drop: ondemand.DropAfter})
		unknown, is := errors.AsType[ondemand.UnknownOperation](err)
		require.True(t, is, name)
		require.Equal(t, near, unknown.Near, name)
	}
	require.Empty(t, r.List())
}

func TestAPINsFateIsOfThatPINAlone(t *testing.T) {
	t.Parallel()
	fates := ondemand.FateRules(catalogue().Fates(), func(string) string { return "" })
	require.Len(t, fates, 5, "of no card")
	r := ondemand.NewRules(catalogue(), fates, dice(0, 0))
	call := ondemand.Call{Contract: "thredd", Operation: "setCardPin", Card: "c1"}
	effect, taken := r.TakePIN(call, []byte("9904"))
	require.True(t, taken)
	require.Equal(t, ondemand.Effect{Rule: "pin-database-gone", Fault: "database"}, effect, "the id does not say the PIN")
	effect, _ = r.TakePIN(call, []byte("9903"))
	require.Equal(t, ondemand.Effect{Rule: "pin-slow", Delay: 3 * time.Second}, effect)
	for _, other := range []string{"7010", "99040", ""} {
		_, taken = r.TakePIN(call, []byte(other))
		require.False(t, taken)
	}
	r.Clear()
	_, taken = r.Take(call)
	require.False(t, taken, "no card has it")
	_, taken = r.TakePIN(call, []byte("9901"))
	require.True(t, taken)
	require.Empty(t, r.List())
}

func TestNoRuleCostsNothing(t *testing.T) { //nolint:paralleltest // allocations are counted
	r := rulesOf(t, ondemand.Chance())
	for _, card := range []string{"", "c1"} {
		call := ondemand.Call{Contract: "thredd", Operation: "setCardPin", Client: "thredd-sandbox", Card: card}
		require.Zero(t, testing.AllocsPerRun(100, func() { r.Take(call) }))
	}
}

// A rule is taken as often as it says, however many calls come at once, and calls pass on to the next; rules that come
// and go meanwhile take nothing from those.
func TestRulesAreTakenAsOftenAsTheySay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		times := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 5).Draw(rt, "times")
		callers, each := rapid.IntRange(2, 16).Draw(rt, "callers"), rapid.IntRange(1, 20).Draw(rt, "calls of each")
		card := rapid.SampledFrom([]string{"", "c1"}).Draw(rt, "card")
		r := ondemand.NewRules(catalogue(), nil, ondemand.Chance())
		for i, n := range times {
			if _, err := r.Add(ondemand.Rule{ID: fmt.Sprint("r", i), Card: card, Drop: "before", Times: n}); err != nil {
				rt.Fatal(err)
			}
		}
		counts := make([]atomic.Int64, len(times)+1) // the last for calls that no rule fits
		var wait sync.WaitGroup
		for range callers {
			wait.Go(func() {
				for range each {
					effect, taken := r.Take(ondemand.Call{Card: card})
					at := len(times)
					if taken {
						_, _ = fmt.Sscanf(effect.Rule, "r%d", &at)
					}
					counts[at].Add(1)
				}
			})
		}
		wait.Go(func() {
			for i := range 10 {
				id := fmt.Sprint("passing-", i)
				_, _ = r.Add(ondemand.Rule{ID: id, Client: "nobody", Drop: "before"})
				r.Remove(id)
			}
		})
		wait.Wait()
		left := int64(callers * each)
		for i, n := range times {
			want := min(int64(n), left)
			left -= want
			if got := counts[i].Load(); got != want || r.List()[i].Taken != want {
				rt.Fatalf("rule %d of %v was taken %d times, and says %d, want %d", i, times, got, r.List()[i].Taken, want)
			}
		}
		if got := counts[len(times)].Load(); got != left {
			rt.Fatalf("%d calls were left, want %d", got, left)
		}
	})
}

func TestAProbabilityIsThePartOfTheCallsThatARuleTakes(t *testing.T) {
	t.Parallel()
	draws := slices.Repeat([]float64{0.05, 0.15, 0.95, 0.3}, 5)
	at := -1
	r := rulesOf(t, ondemand.Dice{Uniform: func() float64 { at++; return draws[at] }, Normal: func() float64 { return 0 }},
		ondemand.Rule{ID: "a", Drop: "before", Probability: new(0.2), Times: 7})
	taken := 0
	for range draws {
		if _, ok := r.Take(ondemand.Call{}); ok {
			taken++
		}
	}
	require.Equal(t, 7, taken, "of the ten whose draw is below, until it is spent")
}
