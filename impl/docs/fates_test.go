package docs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/rows"
)

func TestEveryCardAndPINWithAFateIsOnThePagesOfItsContracts(t *testing.T) {
	t.Parallel()
	chapters, pages := everyChapter(t)
	fates, err := allFates(everyDocument(t))
	require.NoError(t, err)
	require.NotEmpty(t, fates)
	for _, fate := range fates {
		for name, steps := range fate.Rows {
			require.Contains(t, chapters, name)
			require.Contains(t, pages[name], `<code>`+fate.Card+fate.PIN+`</code>`, name)
			for _, step := range steps {
				id := rows.StepOf(step).ID()
				require.Contains(t, pages[name], `<a href="#`+id+`">`+step+`</a>`)
				require.Contains(t, pages[name], `<tr id="`+id+`">`, "%s of %s is a row", step, fate.Card+fate.PIN)
			}
		}
	}
	for name, page := range pages {
		if chapters[name] != nil {
			require.Equal(t, len(chapters[name].Fates) > 0, strings.Contains(page, `id="fates"`), name)
		}
	}
	require.Empty(t, chapters["common"].Fates, "no card is reached by it")
	require.NotEmpty(t, chapters["thredd"].Fates)
	require.Contains(t, pages["thredd"], `<code>slow</code>`)
	require.Contains(t, pages["thredd"], `PIN <code>9903</code>`)
}
