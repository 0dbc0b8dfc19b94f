package ondemand_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/ondemand"
)

func TestACallAsksForARowByOneOfTwoHeaders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header http.Header
		want   ondemand.Ask
	}{
		"a row":                           {http.Header{"Pinvault-Row": {"setCardPin/pin-set"}}, ondemand.Ask{Row: "setCardPin/pin-set", Must: true}},
		"a row with blanks around":        {http.Header{"Pinvault-Row": {" a/b "}}, ondemand.Ask{Row: "a/b", Must: true}},
		"two rows, which are none":        {http.Header{"Pinvault-Row": {"a/b", "a/c"}}, ondemand.Ask{Row: "a/b, a/c", Must: true}},
		"a row before a preference":       {http.Header{"Pinvault-Row": {"a/b"}, "Prefer": {"code=409"}}, ondemand.Ask{Row: "a/b", Must: true}},
		"a status":                        {http.Header{"Prefer": {"code=409"}}, ondemand.Ask{Status: 409}},
		"a quoted status":                 {http.Header{"Prefer": {`code="409"`}}, ondemand.Ask{Status: 409}},
		"a name":                          {http.Header{"Prefer": {"example=pin-set"}}, ondemand.Ask{Name: "pin-set"}},
		"a quoted name":                   {http.Header{"Prefer": {`example="pin\-set"`}}, ondemand.Ask{Name: "pin-set"}},
		"both":                            {http.Header{"Prefer": {"code=409, example=taken"}}, ondemand.Ask{Status: 409, Name: "taken"}},
		"both in two lines":               {http.Header{"Prefer": {"code=409", "example=taken"}}, ondemand.Ask{Status: 409, Name: "taken"}},
		"a name in capitals":              {http.Header{"Prefer": {"CODE = 409"}}, ondemand.Ask{Status: 409}},
		"a preference twice":              {http.Header{"Prefer": {"code=409, code=500"}}, ondemand.Ask{Status: 409}},
		"others around it":                {http.Header{"Prefer": {`respond-async, wait="1,2;3", code=409;strict, ,`}}, ondemand.Ask{Status: 409}},
		"a comma in a quoted value":       {http.Header{"Prefer": {`foo="a\",code=500", code=409`}}, ondemand.Ask{Status: 409}},
		"a status behind one that is bad": {http.Header{"Prefer": {"code=many, example=a"}}, ondemand.Ask{Name: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, asked := ondemand.Asked(c.header)
			require.True(t, asked)
			require.Equal(t, c.want, got)
		})
	}
}

func TestOtherCallsAskForNothing(t *testing.T) {
	t.Parallel()
	for _, header := range []http.Header{{}, {"Prefer": {"respond-async"}}, {"Prefer": {"code"}}, {"Prefer": {"code=", "example="}},
		{"Prefer": {"code=-1"}}, {"Prefer": {""}}, {"Prefer": {`=409`}}, {"Prefer": {`foo;code=409`}}, {"Pinvault-Row": {""}}} {
		_, asked := ondemand.Asked(header)
		require.False(t, asked, "%v", header)
	}
}

func TestNothingAskedCostsNothing(t *testing.T) { //nolint:paralleltest // allocations are counted
	header := http.Header{"Accept": {"*/*"}}
	require.Zero(t, testing.AllocsPerRun(100, func() { ondemand.Asked(header) }))
}
