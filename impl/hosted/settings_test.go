package hosted

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"image/png"
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
		{"all", ``, `{"frameAncestors":["https://a.example"],"parentOrigin":"https://a.example","returnUrl":"https://a.example/done?a=b","branding":{"accent":"#000"},
			"issuerName":"Bank","logo":"` + pixel + `","languages":["ar-AE","ur"]}`,
			`{"branding":{"accent":"#000"},"frameAncestors":["https://a.example"],"issuerName":"Bank","languages":["ar-AE","ur"],"logo":"` + pixel + `",` +
				`"parentOrigin":"https://a.example","returnUrl":"https://a.example/done?a=b"}`, ""},
		{"a return to where the page may not lead", ``, `{"returnUrl":"http://a.example/"}`, "", "hosted.returnUrl"},
		{"a return to a script", ``, `{"returnUrl":"javascript:alert(1)"}`, "", "hosted.returnUrl"},
		{"a logo without a name", ``, `{"logo":"` + pixel + `"}`, "", "hosted.issuerName"},
		{"a logo that loses its name", `{"issuerName":"Bank","logo":"` + pixel + `"}`, `{"issuerName":" "}`, "", "hosted.issuerName"},
		{"a logo elsewhere", ``, `{"issuerName":"Bank","logo":"https://a.example/logo.png"}`, "", "hosted.logo"},
		{"a language that the page does not speak", ``, `{"languages":["en","xx"]}`, "", "hosted.languages"},
		{"an ancestor that is more than an origin", ``, `{"frameAncestors":["https://a.example","https://a.example; script-src *"]}`, "", "hosted.frameAncestors"},
		{"an ancestor that may not embed here", ``, `{"frameAncestors":["http://a.example"]}`, "", "hosted.frameAncestors"},
		{"a parent that is no origin", ``, `{"parentOrigin":"*"}`, "", "hosted.parentOrigin"},
		{"a parent that may not embed here", `{"parentOrigin":"https://a.example"}`, `{"parentOrigin":"http://a.example"}`, "", "hosted.parentOrigin"},
		{"branding that ends its rule", ``, `{"branding":{"accent":"#000}"}}`, "", "hosted.branding"},
		{"another setting beside what would be refused today", `{"frameAncestors":["http://a.example"],"parentOrigin":"http://a.example","branding":{"x":"y"},"logo":"x"}`, `{"languages":["hi"]}`,
			`{"branding":{"x":"y"},"frameAncestors":["http://a.example"],"languages":["hi"],"logo":"x","parentOrigin":"http://a.example"}`, ""},
		{"another language beside one that is not spoken today", `{"languages":["xx"],"issuerName":"a"}`, `{"issuerName":"b"}`, `{"issuerName":"b","languages":["xx"]}`, ""},
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

// pixel is a picture of one pixel.
const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"

func TestIsLogo(t *testing.T) {
	t.Parallel()
	encoded := func(kind string, data []byte) string {
		return "data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(data)
	}
	drawn := func(width, height int) []byte {
		var out bytes.Buffer
		require.NoError(t, png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))))
		return out.Bytes()
	}
	var photo bytes.Buffer
	require.NoError(t, jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 8, 8)), nil))
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"a PNG":                      {pixel, true},
		"a JPEG":                     {encoded("jpeg", photo.Bytes()), true},
		"as wide as may be":          {encoded("png", drawn(1024, 1)), true},
		"too wide":                   {encoded("png", drawn(1025, 1)), false},
		"as high as may be":          {encoded("png", drawn(1, 1024)), true},
		"too high":                   {encoded("png", drawn(1, 1025)), false},
		"of 8 KB":                    {encoded("png", append(drawn(1, 1), make([]byte, 8192-len(drawn(1, 1)))...)), true},
		"of more":                    {encoded("png", append(drawn(1, 1), make([]byte, 8193-len(drawn(1, 1)))...)), false},
		"a JPEG that says it is one": {encoded("png", photo.Bytes()), false},
		"an SVG":                     {encoded("svg+xml", []byte("<svg/>")), false},
		"not base64":                 {"data:image/png;base64,!", false},
		"no data":                    {"data:image/png;base64,", false},
		"another type":               {strings.Replace(pixel, "image", "text", 1), false},
		"no URL":                     {strings.TrimPrefix(pixel, "data:image/"), false},
		"nothing":                    {"", false},
	} {
		require.Equal(t, c.want, isLogo(c.text), name)
	}
}

func TestLeads(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"https://bank.example": true, "https://bank.example/": true, "https://bank.example:8443/done?a=b&c=%20d": true, "http://127.0.0.1:3000/": true,
		"https://user@bank.example/": false, "https://bank.example/#done": false, "https://bank.example/#": false, "https://-bank.example/": false,
		"ftp://bank.example/": false, "javascript:alert(1)": false, "//bank.example/": false, "/done": false, "capacitor://localhost": false, "http://other.example/": false,
		"https://bank.example/%zz": false, "": false,
	} {
		require.Equal(t, want, leads(text, func(origin string) bool { return origin != "http://other.example" }), text)
	}
}
