package hosted

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestSettingsRefuseWhatCouldLeaveItsPlaceOnThePageOrDoesNotEmbedIt(t *testing.T) {
	t.Parallel()
	owner := Settings(func(origin string) bool { return strings.HasPrefix(origin, "https:") })
	for _, tc := range []struct{ name, had, named, kept, field string }{
		{"nothing", ``, `{}`, `{}`, ""},
		{"all", ``, `{"frameAncestors":["https://a.example"],"parentOrigin":"https://a.example","branding":{"accent":"#000"},"languages":["ar"]}`,
			`{"branding":{"accent":"#000"},"frameAncestors":["https://a.example"],"languages":["ar"],"parentOrigin":"https://a.example"}`, ""},
		{"an ancestor that is more than an origin", ``, `{"frameAncestors":["https://a.example","https://a.example; script-src *"]}`, "", "hosted.frameAncestors"},
		{"an ancestor that may not embed here", ``, `{"frameAncestors":["http://a.example"]}`, "", "hosted.frameAncestors"},
		{"a parent that is no origin", ``, `{"parentOrigin":"*"}`, "", "hosted.parentOrigin"},
		{"a parent that may not embed here", `{"parentOrigin":"https://a.example"}`, `{"parentOrigin":"http://a.example"}`, "", "hosted.parentOrigin"},
		{"branding that ends its rule", ``, `{"branding":{"accent":"#000}"}}`, "", "hosted.branding"},
		{"another setting beside what would be refused today", `{"frameAncestors":["http://a.example"],"parentOrigin":"http://a.example","branding":{"x":"y"}}`, `{"languages":["hi"]}`,
			`{"branding":{"x":"y"},"frameAncestors":["http://a.example"],"languages":["hi"],"parentOrigin":"http://a.example"}`, ""},
		{"the same once more", `{"parentOrigin":"http://a.example"}`, `{"parentOrigin":"http://a.example"}`, `{"parentOrigin":"http://a.example"}`, ""},
		{"rid of all", `{"frameAncestors":["http://a.example"],"parentOrigin":"http://a.example","branding":{"x":"y"}}`, `{"frameAncestors":[],"parentOrigin":"","branding":{}}`,
			`{"branding":{},"frameAncestors":[],"parentOrigin":""}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var had json.RawMessage
			if tc.had != "" {
				had = json.RawMessage(tc.had)
			}
			kept, secrets, err := owner.Program.Set(had, json.RawMessage(tc.named))
			require.Empty(t, secrets)
			if tc.field != "" {
				require.Equal(t, &pin.Error{Code: pin.InvalidField, Field: tc.field}, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.kept, string(kept))
		})
	}
}

func TestAPageIsInEnglishUnlessTheProgramSaysOtherwise(t *testing.T) {
	t.Parallel()
	shown, err := Settings(nil).Program.Show(nil)
	require.NoError(t, err)
	require.Contains(t, string(shown), `"languages":["en"]`)
}
