package issuer_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
)

// custodians are three clients, each with the rights of a custodian and no others.
func custodians(t *testing.T, h *apptest.Server) map[string]contracttest.Option {
	t.Helper()
	tokens := map[string]contracttest.Option{"issuer": contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))}
	for _, name := range []string{"alice", "bob", "carol"} {
		_, _, err := h.Vault.CreateClient(apptest.Operating(t), pin.Client{ID: name, Contract: "issuer", ProgramID: programID, Name: name,
			Scopes: []string{"keys:read", "keys:component"}}, name+"-secret", pin.Memo{})
		require.NoError(t, err)
		tokens[name] = contracttest.Bearer(h.Mint(t, name, time.Hour))
	}
	return tokens
}

// Three custodians make a key through the API, and nobody gets further than their part.
func TestThreeClientsHoldACeremony(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	as := custodians(t, h)
	post := func(who, path, body string) *contracttest.Reply {
		return h.Client.For(t).Do(http.MethodPost, "/issuer/v1/keys"+path, as[who], contracttest.Raw("application/json", body))
	}
	parts := map[string]string{"alice": "2C5D8A31F07E94B6C81A43E5907BD6F2", "bob": "91E6A7D3B4580F2C3DAE6B94F1C7028A", "carol": "5B3E19C8A6F04D7281DC35E79A40B6F1"}
	entering := func(number, component string) string {
		return `{"number":` + number + `,"component":"` + component + `"}`
	}
	ask := `{"keyId":"zpk-3","programId":"` + programID + `","usage":"zone-pin","algorithm":"TDES","components":3,"expiresInSeconds":3600}`
	require.Equal(t, http.StatusForbidden, post("alice", "", ask).Status, "a custodian asks for no ceremony")
	require.Equal(t, http.StatusCreated, post("issuer", "", ask).Status)

	for _, step := range []struct {
		who, path, body string
		status          int
		code            string
	}{
		{"alice", "/zpk-3/components", entering("1", parts["alice"]), http.StatusOK, ""},
		{"alice", "/zpk-3/components", entering("2", parts["bob"]), http.StatusConflict, "same_custodian"},
		{"bob", "/zpk-3/components", entering("1", parts["bob"]), http.StatusConflict, "duplicate"},
		{"bob", "/zpk-3/components", entering("4", parts["bob"]), http.StatusUnprocessableEntity, "invalid_field"},
		{"bob", "/zpk-3/components", entering("2", strings.Repeat("00", 16)), http.StatusUnprocessableEntity, "invalid_field"},
		{"bob", "/zpk-3/components", entering("2", "1F1F1F1F0E0E0E0E0123456789ABCDEF"), http.StatusUnprocessableEntity, "invalid_field"},
		{"bob", "/zpk-3/components", entering("2", parts["bob"]+"0123456789ABCDEF"), http.StatusUnprocessableEntity, "invalid_field"},
		{"alice", "/zpk-3/confirmations", `{"checkValue":"91034A"}`, http.StatusConflict, "key_state"},
		{"issuer", "/zpk-3/activate", "", http.StatusConflict, "key_state"},
		{"bob", "/zpk-3/components", entering("2", parts["bob"]), http.StatusOK, ""},
		{"carol", "/zpk-3/components", entering("3", parts["carol"]), http.StatusOK, ""},
		{"carol", "/zpk-3/activate", "", http.StatusForbidden, "forbidden"},
		{"issuer", "/zpk-3/activate", "", http.StatusConflict, "key_state"},
		{"issuer", "/zpk-3/confirmations", `{"checkValue":"000000"}`, http.StatusForbidden, "forbidden"},
		{"alice", "/zpk-3/confirmations", `{"checkValue":"000000"}`, http.StatusUnprocessableEntity, "invalid_field"},
		{"alice", "/zpk-3/key-blocks", `{"masterKeyId":"zmk-sandbox"}`, http.StatusForbidden, "forbidden"},
		{"alice", "/zpk-3/destroy", "", http.StatusForbidden, "forbidden"},
	} {
		reply := post(step.who, step.path, step.body)
		require.Equal(t, step.status, reply.Status, "%s %s: %s", step.who, step.path, reply.Body)
		if step.code != "" {
			require.Equal(t, step.code, reply.Text("/code"))
		}
	}
	known := h.Client.For(t).Do(http.MethodGet, "/issuer/v1/keys/zpk-3", as["bob"]).ExpectStatus(http.StatusOK)
	checkValue := known.Text("/checkValue")
	for i, who := range []string{"alice", "bob", "carol"} {
		state := post(who, "/zpk-3/confirmations", `{"checkValue":"`+checkValue+`"}`).ExpectStatus(http.StatusOK).Text("/state")
		require.Equal(t, map[bool]string{true: "active", false: "pending"}[i == 2], state)
	}
	opened := h.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards/"+cardID+"/pin/verifications", as["issuer"],
		contracttest.JSON(map[string]any{"pinBlock": "0000000000000000", "format": "ISO-0", "keyId": "zpk-3"}))
	require.NotEqual(t, "unknown_key", opened.Text("/code"), "the key is in use")

	// A component is a secret everywhere, as what comes of it is.
	whole := "E685342AE3D6D6E975681C97FBFD6289"
	everywhere := map[string]string{"the log": h.Log.String(), "the journal": string(h.Client.Do(http.MethodGet, "/sandbox/journal?limit=1000").Body),
		"the key": string(known.Body), "the events": string(h.Client.Do(http.MethodGet, "/issuer/v1/audit-events?limit=200", as["issuer"]).Body)}
	for place, text := range everywhere {
		for who, component := range parts {
			require.NotContains(t, strings.ToUpper(text), component, "%s's component stands in %s", who, place)
		}
		require.NotContains(t, strings.ToUpper(text), whole, place)
	}
}

// The values that the standards print come out of the API.
func TestTheStandardsValuesComeOutOfTheAPI(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	do := func(method, path string, body any) *contracttest.Reply {
		return h.Client.For(t).Do(method, "/issuer/v1"+path, issuer, contracttest.JSON(body))
	}
	card := do(http.MethodPost, "/cards", map[string]any{"programId": programID, "pan": "1122334455667788"}).ExpectStatus(http.StatusCreated).Text("/cardId")
	give := func(digits string) {
		p, err := pin.New([]byte(digits))
		require.NoError(t, err)
		require.NoError(t, h.Vault.SetPIN(apptest.Operating(t), pin.Query{CardID: card}, pin.Plain(p), pin.Memo{}))
	}
	value := func(request map[string]any) *contracttest.Reply {
		request["keyId"] = "pvk-sandbox"
		return do(http.MethodPost, "/cards/"+card+"/pin/verification-values", request).ExpectStatus(http.StatusOK)
	}
	ibm := func(method string, more map[string]any) map[string]any {
		r := map[string]any{"method": method, "decimalizationTable": "1234567890123456", "validationData": map[string]any{"start": 0, "digits": 16}}
		maps.Copy(r, more)
		return r
	}
	give("4524")
	require.Equal(t, "8523", value(map[string]any{"method": "visa-pvv", "keyIndex": 1}).Text("/pvv"))
	natural := value(ibm("ibm-3624-natural-pin", map[string]any{"to": map[string]any{"format": "ISO-0", "keyId": "zpk-sandbox"}})).JSON("/naturalPin").(map[string]any)
	require.Equal(t, "match", do(http.MethodPost, "/cards/"+card+"/pin/verifications", natural).ExpectStatus(http.StatusOK).Text("/result"), "the natural PIN is 4524")
	give("1234")
	require.Equal(t, "7710", value(ibm("ibm-3624-offset", nil)).Text("/offset"))

	block := "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
	imported := do(http.MethodPost, "/key-blocks", map[string]any{"keyId": "tr31", "programId": programID, "usage": "zone-pin", "masterKeyId": "zmk-sandbox", "keyBlock": block})
	require.Equal(t, "08793E", imported.ExpectStatus(http.StatusCreated).Text("/checkValue"), "of 3F419E1CB7079442AA37474C2EFBF8B8")
}
