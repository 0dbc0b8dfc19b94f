package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/docs"
	"pinvault/openapi"
)

// served writes the documents as a server serves them.
func served(t *testing.T) string {
	t.Helper()
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	var all []*contract.Document
	for _, name := range names {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		all = append(all, d)
	}
	site, err := docs.New(all, openapi.Documents, "http://127.0.0.1:8080")
	require.NoError(t, err)
	dir := t.TempDir()
	for _, f := range site.Files {
		if name, found := strings.CutPrefix(f.Path, "openapi/"); found && strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, ".clear.json") {
			text, err := f.Data()
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
		}
	}
	return dir
}

func TestFactsFollowFromTheServedDocuments(t *testing.T) {
	t.Parallel()
	dir := served(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	found := map[string]*Contract{}
	for _, file := range files {
		c, err := read(file)
		require.NoError(t, err, file)
		require.NotEmpty(t, c.Version, file)
		require.NotEmpty(t, c.CodeAt, file)
		words := map[string]bool{}
		for _, e := range c.Errors {
			require.NotEmpty(t, e.Advice, "%s %s", c.Name, e.Code)
			require.False(t, words[e.Word()], "%s %s", c.Name, e.Word())
			words[e.Word()] = true
		}
		found[c.Name] = c
	}
	require.Len(t, found, len(files))

	require.Equal(t, "token", found["accosa"].Sealing)
	require.Equal(t, "jwe", found["creditplus"].Sealing)
	require.Empty(t, found["thredd"].Sealing)
	require.Equal(t, "/connect/token", found["thredd"].TokenPath)
	require.Equal(t, "x-api-key", found["hashdt"].KeyHeader)
	require.Contains(t, found["accosa"].Errors, Error{"1231", "Check urn, customerId and mobileNumber: no card of the program has them all."})
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
	dir := served(t)
	file := filepath.Join(dir, "networkintl.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "byte for byte", "more or less")), 0o600))
	_, err = read(file)
	require.ErrorContains(t, err, "the document no longer says")
}
