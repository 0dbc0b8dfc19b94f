package settings_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/settings"
)

type own struct {
	Flag  bool     `json:"flag"`
	Names []string `json:"names"`
	Text  string   `json:"text,omitzero"`
}

var known = settings.Of[own]{Contract: "fax", UnlessGiven: func() own { return own{Flag: true, Names: []string{"a", "b"}} }, Secrets: []string{"code"}}

func TestWhatIsNamedReplacesWhatItNamesAndTheRestStays(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, before, named, kept string }{
		{"the first", ``, `{"flag":false}`, `{"flag":false}`},
		{"none", `{"flag":false}`, `{}`, `{"flag":false}`},
		{"another one", `{"flag":false}`, `{"names":["c"]}`, `{"flag":false,"names":["c"]}`},
		{"the same one", `{"names":["c","d","e"]}`, `{"names":[]}`, `{"names":[]}`},
		{"beside one of a later version", `{"later":1}`, `{"flag":true}`, `{"flag":true,"later":1}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			kept, secrets, err := known.Set(raw(tc.before), raw(tc.named))
			require.NoError(t, err)
			require.Empty(t, secrets)
			require.Equal(t, tc.kept, string(kept))
		})
	}
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func TestSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	kept, secrets, err := known.Set(nil, raw(`{"code":"open-sesame","text":"x"}`))
	require.NoError(t, err)
	require.Equal(t, `{"text":"x"}`, string(kept))
	require.Equal(t, map[string]string{"code": "open-sesame"}, secrets)
}

func TestWhatTheOwnerDoesNotKnowIsRefused(t *testing.T) {
	t.Parallel()
	for _, named := range []string{`{"moon":1}`, `{"flag":"yes"}`, `{"code":7}`, `[]`, `{`, ``} {
		_, _, err := known.Set(nil, raw(named))
		require.Equal(t, &pin.Error{Code: pin.InvalidField, Field: "fax"}, err, named)
	}
	_, _, err := known.Set(raw(`[`), raw(`{}`))
	require.Equal(t, pin.Internal, pin.CodeOf(err), "what is kept cannot be read")
}

func TestReadAndShow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kept string
		want own
		show string
	}{
		{``, own{Flag: true, Names: []string{"a", "b"}}, `{"flag":true,"names":["a","b"]}`},
		{`{"flag":false,"later":1}`, own{Names: []string{"a", "b"}}, `{"flag":false,"names":["a","b"]}`},
		{`{"names":["c"],"text":"x"}`, own{Flag: true, Names: []string{"c"}, Text: "x"}, `{"flag":true,"names":["c"],"text":"x"}`},
	} {
		read, err := known.Read(raw(tc.kept))
		require.NoError(t, err)
		require.Equal(t, tc.want, read)
		shown, err := known.Show(raw(tc.kept))
		require.NoError(t, err)
		require.Equal(t, tc.show, string(shown))
	}
	shown, err := settings.Of[own]{}.Show(nil)
	require.NoError(t, err)
	require.Equal(t, `{"flag":false,"names":[]}`, string(shown), "a list is never null")
	for _, broken := range []string{`[`, `{"flag":"open-sesame"}`} {
		_, err := known.Read(raw(broken))
		require.Equal(t, pin.Internal, pin.CodeOf(err))
		require.NotContains(t, err.Error(), "sesame")
		_, err = known.Show(raw(broken))
		require.Equal(t, pin.Internal, pin.CodeOf(err))
	}
}

func TestTheOwnerSeesWhatWasAndWhatIs(t *testing.T) {
	t.Parallel()
	var seen [2]own
	refused := &pin.Error{Code: pin.InvalidField, Field: "fax.text"}
	checked := known
	checked.Check = func(before, after own) error {
		seen = [2]own{before, after}
		return refused
	}
	_, _, err := checked.Set(raw(`{"text":"x"}`), raw(`{"flag":false}`))
	require.Equal(t, refused, err)
	require.Equal(t, [2]own{{Flag: true, Names: []string{"a", "b"}, Text: "x"}, {Names: []string{"a", "b"}, Text: "x"}}, seen)
	_, _, err = checked.Set(raw(`{"text":1}`), raw(`{}`))
	require.Equal(t, pin.Internal, pin.CodeOf(err))
}

func TestAContractCarriesPINsUpToItsLongest(t *testing.T) {
	t.Parallel()
	require.True(t, settings.Owner{}.Carries(12))
	four := settings.Owner{LongestPIN: 4}
	require.True(t, four.Carries(4))
	require.False(t, four.Carries(5))
}
