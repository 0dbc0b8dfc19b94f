package main

import (
	"bytes"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

func TestFactsFollowFromTheDocuments(t *testing.T) {
	t.Parallel()
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	found := map[string]*Contract{}
	for _, name := range names {
		c, err := read(openapi.Documents, name)
		require.NoError(t, err, name)
		require.NotEmpty(t, c.Version, name)
		require.NotEmpty(t, c.CodeAt, name)
		words := map[string]bool{}
		for _, e := range c.Errors {
			require.NotEmpty(t, e.Advice, "%s %s", c.Name, e.Code)
			require.False(t, words[e.Word()], "%s %s", c.Name, e.Word())
			words[e.Word()] = true
		}
		found[c.Name] = c
	}
	require.Len(t, found, len(names))

	require.Equal(t, "token", found["accosa"].Sealing)
	require.Equal(t, "jwe", found["creditplus"].Sealing)
	require.Empty(t, found["thredd"].Sealing)
	require.Equal(t, "/connect/token", found["thredd"].TokenPath)
	require.Equal(t, "x-api-key", found["hashdt"].KeyHeader)
	require.Contains(t, found["accosa"].Errors, Error{"1231", "Check urn, customerId, mobileNumber, emailAddress and last4Digits: no card of the program has them all."})
	require.Equal(t, "CODE_889", Error{Code: "889"}.Word())
	require.Equal(t, "RecordNotFound", Error{Code: "RECORD_NOT_FOUND"}.Camel())

	const reset = "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter"
	require.Equal(t, []Repeat{{"POST", "/oauth2/token", "", ""}, {"POST", reset, "Content-Type", "application/jose"}}, found["creditplus"].Repeats)
	require.Contains(t, found["thredd"].Repeats, Repeat{"POST", "/api/v1/cards/{publicToken}/pin", "IdempotencyKey", ""})
	require.Contains(t, found["issuer"].Repeats, Repeat{"POST", "/issuer/v1/cards/{cardId}/pin/verifications", "Idempotency-Key", ""})
	require.Contains(t, found["hashdt"].Repeats, Repeat{"GET", "/issuing/api/{version}/card/setpin", "x-request-id", ""})
	for _, r := range found["hosted"].Repeats {
		require.Equal(t, "GET", r.Method)
	}
	for _, r := range found["thredd"].Repeats {
		require.NotEqual(t, "/connect/token", r.Path)
	}
	require.Equal(t, "/issuing/api/[^/]+/card/setpin$", pattern("/issuing/api/{version}/card/setpin"))
}

func TestADocumentThatPromisesNoLongerIsRefused(t *testing.T) {
	t.Parallel()
	documents := fstest.MapFS{}
	for _, name := range []string{"networkintl.yaml", "common.yaml"} {
		text, err := fs.ReadFile(openapi.Documents, name)
		require.NoError(t, err)
		documents[name] = &fstest.MapFile{Data: bytes.ReplaceAll(text, []byte("byte for byte"), []byte("more or less"))}
	}
	_, err := read(documents, "networkintl")
	require.ErrorContains(t, err, "the document no longer says")
}
