package issuer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
)

const pan = "9999990000008884"

// everyField names each field of a card that may be changed, in the order of the document.
const everyField = `"status":"upgrade","upgradeStatus":1,"expiry":"3112","sequence":"01",
	"references":[{"kind":"exid","value":"EX-1"},{"kind":"urn","value":"80000000001"}],
	"customerReference":"C-1","embossName":"FIRST CARD","customerId":"IN1","mobileNumber":"971500000001",
	"emailAddress":"first@cards.example","cardProfileId":"CP01","programCode":"PROG01","devicePlanCode":"PLAN01",
	"institutionCode":"INST01","cardholderId":"CH1","walletId":"WL1"`

func everyAttribute() pin.Attributes {
	return pin.Attributes{CustomerReference: "C-1", EmbossName: "FIRST CARD", CustomerID: "IN1", MobileNumber: "971500000001",
		EmailAddress: "first@cards.example", CardProfileID: "CP01", ProgramCode: "PROG01", DevicePlanCode: "PLAN01",
		InstitutionCode: "INST01", CardholderID: "CH1", WalletID: "WL1"}
}

func twoReferences() []pin.Reference {
	return []pin.Reference{{Kind: pin.KindEXID, Value: "EX-1"}, {Kind: pin.KindURN, Value: "80000000001"}}
}

// storedCard is a card of the vault with everything.
func storedCard() pin.Card {
	return pin.Card{ID: cardID, ProgramID: "p-1", Status: pin.StatusUpgrade, UpgradeStatus: 1, Expiry: "3112", Sequence: "01",
		PANCiphertext: []byte("sealed"), Attributes: everyAttribute(), References: twoReferences(),
		Version: 3, CreatedAt: noon(), UpdatedAt: noon()}
}

const storedCardJSON = `{"cardId":"` + cardID + `","programId":"p-1",` + everyField + `,"maskedPan":"999999******8884",
	"version":3,"createdAt":"2026-03-01T12:00:00Z","updatedAt":"2026-03-01T12:00:00Z"}`

func TestCreateCard(t *testing.T) {
	s := newServer(t)
	s.vault.pan = pan
	for _, tc := range []struct {
		name, body string
		want       pin.NewCard
	}{
		{"with a program alone", `{"programId":"p-1"}`, pin.NewCard{ProgramID: "p-1"}},
		{"with everything", `{"programId":"p-1","pan":"` + pan + `",` + everyField + `}`, pin.NewCard{
			ProgramID: "p-1", PAN: pan, Expiry: "3112", Sequence: "01", Status: pin.StatusUpgrade, UpgradeStatus: 1,
			Attributes: everyAttribute(), References: twoReferences()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply := s.For(t).Do(http.MethodPost, "/issuer/v1/cards", body(tc.body)).ExpectStatus(http.StatusCreated)
			require.Equal(t, tc.want, s.vault.newCard)
			require.Equal(t, cardID, reply.Text("/cardId"))
			require.Equal(t, "999999******8884", reply.Text("/maskedPan"))
			require.NotContains(t, string(reply.Body), pan)
		})
	}
}

func TestCardIsShown(t *testing.T) {
	unsorted := storedCard()
	unsorted.References = []pin.Reference{
		{Kind: pin.KindURN, Value: "2"}, {Kind: pin.KindAlias, Value: "b"}, {Kind: pin.KindURN, Value: "1"}, {Kind: pin.KindAlias, Value: "a"}}
	s := newServer(t)
	s.vault.pan = pan
	for _, tc := range []struct {
		name string
		card pin.Card
		want string
	}{
		{"with everything", storedCard(), storedCardJSON},
		{
			"without what it does not have",
			pin.Card{ID: cardID, ProgramID: "p-1", Status: pin.StatusNormal, Version: 1, CreatedAt: noon(), UpdatedAt: noon()},
			`{"cardId":"` + cardID + `","programId":"p-1","status":"normal","upgradeStatus":0,"references":[],"version":1,
				"createdAt":"2026-03-01T12:00:00Z","updatedAt":"2026-03-01T12:00:00Z"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.vault.records = []pin.Record{{Card: tc.card}}
			reply := s.For(t).Do(http.MethodGet, "/issuer/v1/cards/"+cardID).ExpectStatus(http.StatusOK)
			require.JSONEq(t, tc.want, string(reply.Body))
			require.Equal(t, pin.Query{CardID: cardID}, s.vault.query)
		})
	}
	t.Run("with its references by kind and value", func(t *testing.T) {
		s.vault.records = []pin.Record{{Card: unsorted}}
		reply := s.For(t).Do(http.MethodGet, "/issuer/v1/cards/"+cardID).ExpectStatus(http.StatusOK)
		require.Equal(t, []any{
			map[string]any{"kind": "alias", "value": "a"}, map[string]any{"kind": "alias", "value": "b"},
			map[string]any{"kind": "urn", "value": "1"}, map[string]any{"kind": "urn", "value": "2"},
		}, reply.JSON("/references"))
		require.Equal(t, pin.KindURN, unsorted.References[0].Kind, "the vault's card is not sorted in place")
	})
}

func TestUpdateCard(t *testing.T) {
	lost := storedCard()
	lost.Status = pin.StatusLost
	cleared := storedCard()
	cleared.Expiry, cleared.Sequence, cleared.Attributes, cleared.References = "", "", pin.Attributes{}, []pin.Reference{}
	bare := pin.Card{ID: cardID, ProgramID: "p-1", Status: pin.StatusNormal, PANCiphertext: []byte("sealed"),
		Version: 3, CreatedAt: noon(), UpdatedAt: noon()}
	replaced := storedCard()
	replaced.References = []pin.Reference{{Kind: pin.KindAlias, Value: "a"}}

	s := newServer(t)
	s.vault.pan = pan
	for _, tc := range []struct {
		name, body string
		before     pin.Card
		want       pin.Card
	}{
		{"nothing named, nothing changed", `{}`, storedCard(), storedCard()},
		{"the status alone", `{"status":"lost"}`, storedCard(), lost},
		{"everything", "{" + everyField + "}", bare, storedCard()},
		{"references replace all that there were", `{"references":[{"kind":"alias","value":"a"}]}`, storedCard(), replaced},
		{"empty texts clear", `{"expiry":"","sequence":"","references":[],"customerReference":"","embossName":"","customerId":"",
			"mobileNumber":"","emailAddress":"","cardProfileId":"","programCode":"","devicePlanCode":"","institutionCode":"",
			"cardholderId":"","walletId":""}`, storedCard(), cleared},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.vault.records = []pin.Record{{Card: tc.before}}
			s.For(t).Do(http.MethodPatch, "/issuer/v1/cards/"+cardID, body(tc.body)).ExpectStatus(http.StatusOK)
			require.Equal(t, tc.want, s.vault.card)
			require.Equal(t, pin.Query{CardID: cardID}, s.vault.query)
		})
	}
}

func TestFindCards(t *testing.T) {
	byToken := []pin.Reference{{Kind: pin.KindPublicToken, Value: "103169946"}}
	byPAN := []pin.Reference{{Kind: pin.KindPAN, Value: pan}}
	s := newServer(t)
	s.vault.pan = pan
	for _, tc := range []struct {
		name, method, path, body string
		want                     pin.Query
	}{
		{"by query", http.MethodGet, "/issuer/v1/cards?kind=publicToken&value=103169946", "", pin.Query{References: byToken}},
		{"by query, in a program", http.MethodGet, "/issuer/v1/cards?programId=p-1&kind=publicToken&value=103169946", "",
			pin.Query{ProgramID: "p-1", References: byToken}},
		{"by PAN", http.MethodPost, "/issuer/v1/cards/search", `{"kind":"pan","value":"` + pan + `"}`, pin.Query{References: byPAN}},
		{"by PAN, in a program", http.MethodPost, "/issuer/v1/cards/search", `{"programId":"p-1","kind":"pan","value":"` + pan + `"}`,
			pin.Query{ProgramID: "p-1", References: byPAN}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := s.For(t)
			var options []contracttest.Option
			if tc.body != "" {
				options = append(options, body(tc.body))
			}
			s.vault.records = nil
			none := client.Do(tc.method, tc.path, options...).ExpectStatus(http.StatusOK)
			require.JSONEq(t, `{"items":[]}`, string(none.Body))

			s.vault.records = []pin.Record{{Card: storedCard()}, {Card: storedCard()}}
			two := client.Do(tc.method, tc.path, options...).ExpectStatus(http.StatusOK)
			require.JSONEq(t, `{"items":[`+storedCardJSON+`,`+storedCardJSON+`]}`, string(two.Body))
			require.Equal(t, tc.want, s.vault.query)
			require.Equal(t, 100, s.vault.limit)
		})
	}
}
