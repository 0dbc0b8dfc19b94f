package contract_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

// Whatever kind of reference a card may have, a partner's request can name it, and by no value that the
// request could not hold.
func TestReferencesAreThoseThatPartnersCanSend(t *testing.T) {
	t.Parallel()
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	var all []*contract.Document
	var kinds []string
	for _, name := range names {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		all = append(all, d)
		for _, m := range d.Members("Reference") {
			if m.Name == "kind" {
				kinds = m.Enum
			}
		}
	}
	references := contract.ReferencesOf(all...)
	can := map[string][]string{
		"publicToken":    {"103169946"},
		"urn":            {"1", "70000000001"},
		"identifier":     {"DEVICE00000001", strings.Repeat("a", 28)},
		"packId":         {"PACK000001", strings.Repeat("-", 24)},
		"number":         {"1234567890", strings.Repeat("9", 24)},
		"alias":          {"A", "SHARED_ALIAS"},
		"hashdtCardId":   {"CD00000001", "user@example.com", "a/b"},
		"exid":           {"EX/12 3", "ß"},
		"contractNumber": {"CN00000001", strings.Repeat("x", 32)},
	}
	cannot := map[string][]string{
		"publicToken":    {"", "10316994", "1031699466", "10316994x"},
		"urn":            {"", "0", "0000123", "abc", "-1", "123456789012"},
		"identifier":     {"", "DEVICE0000001", "DEVICE 0000001", strings.Repeat("a", 29)},
		"packId":         {"", "PACK00001", strings.Repeat("a", 25)},
		"number":         {"", "123456789", "123456789x", strings.Repeat("9", 25)},
		"alias":          {"", "A-1", strings.Repeat("a", 25)},
		"hashdtCardId":   {"", "a b", strings.Repeat("a", 65)},
		"exid":           {"", "a\tb", strings.Repeat("a", 33)},
		"contractNumber": {"", "a\x00", strings.Repeat("a", 33)},
	}
	require.Len(t, kinds, len(can))
	for kind, values := range map[string][2][]string{ // attributes that requests find cards by or are held against
		"customerId":    {{"AB/12", "ß", strings.Repeat("x", 20)}, {"", "a\x00", strings.Repeat("x", 21)}},
		"mobileNumber":  {{"971500000001", "+971500000001"}, {"", "1234567", "97150-ABC"}},
		"emailAddress":  {{"user@example.com"}, {"", "nobody", "a b@example.com", "a..b@example.com"}},
		"cardProfileId": {{"CP01", strings.Repeat("x", 20)}, {"CP 01", strings.Repeat("x", 21)}},
	} {
		can[kind], cannot[kind], kinds = values[0], values[1], append(kinds, kind)
	}
	for _, kind := range kinds {
		require.NotEmpty(t, can[kind], kind)
		for _, value := range can[kind] {
			require.True(t, references.Name(kind, value), "%s %q", kind, value)
		}
		for _, value := range cannot[kind] {
			require.False(t, references.Name(kind, value), "%s %q", kind, value)
		}
	}
	require.False(t, references.Name("fax", "1"))
}

func TestADocumentWithoutComponentsAddsNoReference(t *testing.T) {
	t.Parallel()
	document := func(components string) *contract.Document {
		d, err := contract.Load(fstest.MapFS{"main.yaml": {Data: []byte("openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths: {}\n" + components)}}, "main")
		require.NoError(t, err)
		return d
	}
	with := document(`components: {parameters: {Card: {name: card, in: query, x-reference: urn, schema: {type: string, pattern: '^[0-9]$'}}}}`)
	references := contract.ReferencesOf(document(""), with)
	require.True(t, references.Name("urn", "1"))
	require.False(t, references.Name("urn", "x"))
}
