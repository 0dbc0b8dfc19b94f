package pin_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// Cards' chains and others' come as one list, whichever of them end it.
func TestHeadsComeInTheOrderOfTheirIDs(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	want := []string{w.card.ID, w.program.ID, "server"}
	add := func(card, program string) {
		if card != "" {
			_, err := w.CreateCard(by(t), pin.NewCard{ID: card, ProgramID: w.program.ID, NoPIN: true}, pin.Memo{})
			require.NoError(t, err)
		}
		if program != "" {
			p := pin.NewProgram("test")
			p.ID = program
			_, err := w.CreateProgram(by(t), p, pin.Memo{})
			require.NoError(t, err)
		}
		want = append(want, card+program)
		slices.Sort(want)
		var ids []string
		for head, err := range w.Heads(by(t)) {
			require.NoError(t, err)
			ids = append(ids, head.Chain)
			events := w.events(t, head.Chain)
			last := events[len(events)-1]
			require.Equal(t, pin.Head{Seq: last.Seq, MAC: last.MAC, Digest: head.Digest, Drawn: head.Drawn}, head.Head, head.Chain)
		}
		require.Equal(t, want, ids)
	}
	add("card", "")
	add("tenth card", "")
	add("", "unnamed program")
	add("", "a program")
	add("zeroth card", "")
}
