package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/generated/served"
	"pinvault/impl/contract"
	"pinvault/impl/issuer"
	"pinvault/impl/pin"
	"pinvault/impl/settings"
	"pinvault/openapi"
)

func serving(name string) (*contract.Document, error) {
	return contract.Serving(served.Forms, openapi.Documents, name)
}

func operator() (*issuer.Operator, *fakeVault) {
	v := newFakeVault()
	v.secret = "secret"
	return issuer.NewOperator(v, nil, contracts(), serving), v
}

// accosaWith are the settings that an Accosa client cannot do without, with some changed; "" leaves one out.
func accosaWith(changed ...string) map[string]string {
	all := map[string]string{"clientId": "2000", "bankId": "7000", "entityId": "100", "secureCode": "open-sesame", "messageKeyIds": "k1,k2"}
	for pair := range slices.Chunk(changed, 2) {
		if all[pair[0]] = pair[1]; pair[1] == "" {
			delete(all, pair[0])
		}
	}
	return all
}

func TestOperatorMakesClientsAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		request issuer.ClientRequest
		want    pin.Client
		apiKey  bool
	}{
		{"with some scopes",
			issuer.ClientRequest{Contract: "thredd", ProgramID: "p-1", Name: "Call centre", Scopes: []string{"pins:write", "pins:read"}},
			pin.Client{Contract: "thredd", ProgramID: "p-1", Name: "Call centre", Scopes: []string{"pins:write", "pins:read"}}, false},
		{"with all scopes",
			issuer.ClientRequest{Contract: "networkintl", ProgramID: "p-1", Name: "IVR", AllScopes: true,
				Settings: map[string]string{"bankId": "NIC", "pinKeyIds": "a,b", "asymmetricAlias": "true"}},
			pin.Client{Contract: "networkintl", ProgramID: "p-1", Name: "IVR", Scopes: []string{"pins:change"},
				Settings: json.RawMessage(`{"asymmetricAlias":true,"bankId":"NIC","pinKeyIds":["a","b"]}`)}, false},
		{"of Credit+, whose clients must encrypt unless it is said",
			issuer.ClientRequest{Contract: "creditplus", Name: "Helpdesk", AllScopes: true, Settings: map[string]string{"messageKeyIds": "k1"}},
			pin.Client{Contract: "creditplus", Name: "Helpdesk", Scopes: []string{"tries:reset"},
				Settings: json.RawMessage(`{"messageKeyIds":["k1"]}`)}, false},
		{"of Credit+, in clear and without keys",
			issuer.ClientRequest{Contract: "creditplus", Name: "Helpdesk", AllScopes: true, Settings: map[string]string{"encryptionRequired": "false"}},
			pin.Client{Contract: "creditplus", Name: "Helpdesk", Scopes: []string{"tries:reset"}, Settings: json.RawMessage(`{"encryptionRequired":false}`)}, false},
		{"of Credit+, with a number",
			issuer.ClientRequest{Contract: "creditplus", Name: "Helpdesk", AllScopes: true, Settings: map[string]string{"encryptionRequired": "false", "timestampWindowSeconds": "60"}},
			pin.Client{Contract: "creditplus", Name: "Helpdesk", Scopes: []string{"tries:reset"}, Settings: json.RawMessage(`{"encryptionRequired":false,"timestampWindowSeconds":60}`)}, false},
		{"with an API key",
			issuer.ClientRequest{Contract: "hashdt", Name: "App", AllScopes: true}, pin.Client{Contract: "hashdt", Name: "App", Scopes: []string{"pins:write"}}, true},
		{"of Accosa, with a fixed IV",
			issuer.ClientRequest{Contract: "accosa", Name: "Wallet", AllScopes: true, Settings: accosaWith("ivMode", "fixed", "fixedIv", strings.Repeat("A1", 16))},
			pin.Client{Contract: "accosa", Name: "Wallet", Scopes: []string{"pins:write"}, Settings: json.RawMessage(`{"bankId":"7000","clientId":"2000",` +
				`"entityId":"100","fixedIv":"` + strings.Repeat("A1", 16) + `","ivMode":"fixed","messageKeyIds":["k1","k2"]}`), Secrets: map[string][]byte{"secureCode": []byte("OPEN-SESAME")}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o, v := operator()
			made, err := o.CreateClient(t.Context(), tc.request)
			require.NoError(t, err)
			require.Equal(t, tc.want, v.client)
			want := issuer.Credentials{ClientID: "client-2", ClientSecret: "secret"}
			if tc.apiKey {
				want = issuer.Credentials{ClientID: "client-2", APIKey: "client-2.secret"}
			}
			require.Equal(t, want, made)
		})
	}
}

// Of what is secret of a client's settings the vault keeps a digest, however many there are, or there is no client.
func TestOperatorHasADigestOfEachSecretKept(t *testing.T) {
	t.Parallel()
	known, v := contracts(), newFakeVault()
	known.Settings["accosa"] = settings.Owner{Client: settings.Of[accosaClient]{Contract: "accosa", Secrets: []string{"secureCode", "bankId", "entityId"}}}
	o := issuer.NewOperator(v, nil, known, serving)
	request := issuer.ClientRequest{Contract: "accosa", Name: "Wallet", AllScopes: true, Settings: accosaWith()}
	_, err := o.CreateClient(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"secureCode": []byte("OPEN-SESAME"), "bankId": []byte("7000"), "entityId": []byte("100")}, v.client.Secrets)
	require.JSONEq(t, `{"clientId":"2000","messageKeyIds":["k1","k2"]}`, string(v.client.Settings))

	v.client, v.err = pin.Client{}, &pin.Error{Code: pin.Unavailable}
	_, err = o.CreateClient(t.Context(), request)
	require.Equal(t, v.err, err)
	require.Zero(t, v.client)
}

func TestOperatorMakesAndShowsCardsAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	o, v := operator()
	v.pan = pan
	made, err := o.CreateCard(t.Context(), map[string]any{"programId": "p-1", "pan": pan})
	require.NoError(t, err)
	require.Equal(t, pin.NewCard{ProgramID: "p-1", PAN: pan}, v.newCard)
	require.Equal(t, cardID, made.CardID)

	v.records = []pin.Record{{Card: storedCard()}}
	shown, err := o.Card(t.Context(), cardID)
	require.NoError(t, err)
	require.Equal(t, pin.Query{CardID: cardID}, v.query)
	text, err := json.Marshal(shown)
	require.NoError(t, err)
	require.JSONEq(t, storedCardJSON, string(text))

	v.newCard = pin.NewCard{}
	_, err = o.CreateCard(t.Context(), map[string]any{"pan": pan})
	require.ErrorContains(t, err, "body /programId: required")
	require.Zero(t, v.newCard)
	v.err = &pin.Error{Code: pin.NotFound}
	_, err = o.CreateCard(t.Context(), map[string]any{"programId": "p-1"})
	require.Equal(t, v.err, err)
	_, err = o.Card(t.Context(), cardID)
	require.Equal(t, v.err, err)
}

func TestOperatorRefusesClientsThatCouldNeverWork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		request issuer.ClientRequest
		says    string
	}{
		{"no such contract", issuer.ClientRequest{Contract: "../thredd", Name: "x"}, "body /contract: enum"},
		{"no such scope", issuer.ClientRequest{Contract: "creditplus", Name: "x", Scopes: []string{"pins:read"}}, `no scope "pins:read"; it has tries:reset`},
		{"no scope at all", issuer.ClientRequest{Contract: "thredd", Name: "x"}, "could do nothing"},
		{"no such setting", issuer.ClientRequest{Contract: "creditplus", Name: "x", AllScopes: true, Settings: map[string]string{"bankId": "1"}},
			`no setting "bankId"; it has encryptionRequired, timestampWindowSeconds, messageKeyIds`},
		{"a setting that the document does not let stand", issuer.ClientRequest{Contract: "accosa", Name: "x", AllScopes: true, Settings: accosaWith("bankId", "seven")}, "body /accosa/bankId: pattern"},
		{"no boolean", issuer.ClientRequest{Contract: "creditplus", Name: "x", AllScopes: true, Settings: map[string]string{"encryptionRequired": "maybe"}}, "type boolean"},
		{"no number", issuer.ClientRequest{Contract: "creditplus", Name: "x", AllScopes: true, Settings: map[string]string{"timestampWindowSeconds": "1h"}}, "type integer"},
		{"a number beyond what it may be", issuer.ClientRequest{Contract: "creditplus", Name: "x", AllScopes: true, Settings: map[string]string{"timestampWindowSeconds": "86401"}}, "maximum"},
		{"Network International without a program", issuer.ClientRequest{Contract: "networkintl", Name: "x", AllScopes: true, Settings: map[string]string{"bankId": "NIC"}},
			"body /programId: required"},
		{"Network International without a bank", issuer.ClientRequest{Contract: "networkintl", ProgramID: "p-1", Name: "x", AllScopes: true}, "body /networkintl/bankId: required"},
		{"Accosa without headers", issuer.ClientRequest{Contract: "accosa", Name: "x", AllScopes: true, Settings: map[string]string{"messageKeyIds": "k"}}, "body /accosa/secureCode: required"},
		{"Accosa without keys", issuer.ClientRequest{Contract: "accosa", Name: "x", AllScopes: true, Settings: accosaWith("messageKeyIds", "")}, "body /accosa/messageKeyIds: required"},
		{"Accosa with a fixed IV that nobody knows", issuer.ClientRequest{Contract: "accosa", Name: "x", AllScopes: true, Settings: accosaWith("ivMode", "fixed")}, "body /accosa/fixedIv: required"},
		{"Accosa with a fixed IV that nobody uses", issuer.ClientRequest{Contract: "accosa", Name: "x", AllScopes: true, Settings: accosaWith("fixedIv", strings.Repeat("A1", 16))}, "invalid_field (accosa.ivMode)"},
		{"Credit+ that must encrypt without keys", issuer.ClientRequest{Contract: "creditplus", Name: "x", AllScopes: true, Settings: map[string]string{"encryptionRequired": "true"}},
			"body /creditplus/messageKeyIds: required"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o, v := operator()
			_, err := o.CreateClient(t.Context(), tc.request)
			require.ErrorContains(t, err, tc.says)
			require.Zero(t, v.client)
			require.NotContains(t, err.Error(), "open-sesame")
		})
	}
}

func TestOperatorSetsWhatContractsKnowOfPrograms(t *testing.T) {
	t.Parallel()
	o, v := operator()
	made, err := o.CreateProgram(t.Context(), map[string]any{"name": "Gift cards"}, map[string]string{"creditplus.aliasCapability": "true",
		"hosted.languages": "ar,en", "hosted.branding": "accent=#0a7;radius=4px", "hosted.parentOrigin": "https://a.example"})
	require.NoError(t, err)
	require.JSONEq(t, `{"aliasCapability":true}`, string(made.Creditplus))
	require.JSONEq(t, `{"frameAncestors":[],"parentOrigin":"https://a.example","branding":{"accent":"#0a7","radius":"4px"},"languages":["ar","en"]}`, string(made.Hosted))
	v.programs = []pin.Program{v.program}
	changed, err := o.ChangeProgram(t.Context(), "p-1", map[string]any{}, map[string]string{"hosted.branding": "", "hosted.parentOrigin": ""})
	require.NoError(t, err)
	require.JSONEq(t, `{"frameAncestors":[],"parentOrigin":"","branding":{},"languages":["ar","en"]}`, string(changed.Hosted))
	require.JSONEq(t, `{"aliasCapability":true}`, string(changed.Creditplus))
	for says, settings := range map[string]map[string]string{
		`no setting "accosa.moon"; they have creditplus.aliasCapability`: {"accosa.moon": "1"},
		"body /creditplus/aliasCapability: type boolean":                 {"creditplus.aliasCapability": "yes"},
		"body /hosted/branding: type object":                             {"hosted.branding": "accent"},
		"body /hosted/languages: minItems 1":                             {"hosted.languages": ""},
		"invalid_field (hosted.parentOrigin)":                            {"hosted.parentOrigin": "http://a.example"},
	} {
		_, err := o.ChangeProgram(t.Context(), "p-1", map[string]any{}, settings)
		require.ErrorContains(t, err, says)
	}
}

func TestOperatorRotates(t *testing.T) {
	t.Parallel()
	o, v := operator()
	_, err := o.RotateClient(t.Context(), "client-2", 31*24*time.Hour)
	require.ErrorContains(t, err, "body /overlapSeconds: maximum")
	v.clients = []pin.Client{{ID: "client-2", Contract: "thredd"}}
	rotated, err := o.RotateClient(t.Context(), "client-2", 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, 24*time.Hour, v.overlap)
	require.Equal(t, "secret", rotated.ClientSecret)
}

// manyPrograms is a vault with more programs than stand on a page.
type manyPrograms struct {
	*fakeVault
	ids   []string
	fails bool
}

func (v manyPrograms) Programs(_ context.Context, page pin.Page) ([]pin.Program, error) {
	var out []pin.Program
	for _, id := range v.ids {
		if id > page.After && len(out) < page.Limit {
			out = append(out, pin.Program{ID: id})
		}
	}
	if v.fails && page.After != "" {
		return nil, errors.New("the second page is gone")
	}
	return out, nil
}

func TestOperatorListsPageAfterPage(t *testing.T) {
	t.Parallel()
	v := manyPrograms{fakeVault: newFakeVault()}
	for i := range 150 {
		v.ids = append(v.ids, fmt.Sprintf("p-%03d", i))
	}
	var found []string
	for p, err := range issuer.NewOperator(v, nil, contracts(), serving).Programs(t.Context()) {
		require.NoError(t, err)
		found = append(found, p.ProgramID)
	}
	require.Equal(t, v.ids, found)

	v.fails = true
	var last error
	rows := 0
	for _, err := range issuer.NewOperator(v, nil, contracts(), serving).Programs(t.Context()) {
		last = err
		rows++
	}
	require.ErrorContains(t, last, "the second page is gone")
	require.Less(t, rows, 150)
}

func TestSentencesListWhatThereIs(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]contract.Violation{
		"--contract must be one of: a, b.":    {Rule: contract.RuleEnum, Limit: "a, b", Label: "contract"},
		"--setting x must be true or false.":  {Rule: contract.RuleType, Limit: "boolean"},
		"--setting x must be of type string.": {Rule: contract.RuleType, Limit: "string"},
		"--name is required.":                 {Rule: contract.RuleRequired, Label: "name"},
	} {
		name, _, _ := strings.Cut(want, " must")
		name, _, _ = strings.Cut(name, " is")
		require.Equal(t, want, issuer.Sentence(v, name))
	}
}
