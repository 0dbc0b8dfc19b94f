package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// Store is what is tested: pin.Store, and what else a server needs of its database.
type Store interface {
	pin.Store

	Setting(ctx context.Context, key string) (string, error)
	PutSetting(ctx context.Context, key, value string) error
	Empty(ctx context.Context) (bool, error)
	Wipe(ctx context.Context) error
	PurgeReplays(ctx context.Context, before time.Time) (int64, error)
	PurgeSessions(ctx context.Context, before time.Time) (int64, error)
	Close() error
}

// Run tests a store. open is called for each test and returns a store on an empty, migrated database.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"programs", programTests}, {"clients", clientTests}, {"zone keys", zoneKeyTests}, {"cards", cardTests},
		{"find", findTests}, {"holders", holderTests}, {"tries", tryTests}, {"PINs", pinTests}, {"audit", auditTests}, {"replays", replayTests}, {"service requests", serviceRequestTests},
		{"sessions", sessionTests},
		{"transactions", transactionTests}, {"failures", failureTests}, {"upkeep", upkeepTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
			}
		})
	}
}

// test is a promise and how it is put to the test.
type test struct {
	name string
	run  func(t *testing.T, s Store)
}

// at is a time that no database may round: to the microsecond, in UTC.
var at = time.Date(2026, time.March, 1, 9, 30, 0, 123456000, time.UTC)

var errDomain = errors.New("a reason of the caller's own")

// tx runs fn in a transaction that must succeed.
func tx(t require.TestingT, s Store, fn func(tx pin.Tx) error) {
	require.NoError(t, s.InTx(context.Background(), fn))
}

// in is the error of a transaction of one step.
func in(s Store, step func(tx pin.Tx) error) error { return s.InTx(context.Background(), step) }

// requireCode compares an error's code, and its field where one is given.
func requireCode(t require.TestingT, err error, code pin.Code, field ...string) {
	require.Error(t, err)
	require.Equal(t, code, pin.CodeOf(err), "%v", err)
	for _, f := range field {
		require.Equal(t, f, pin.FieldOf(err))
	}
}

// newProgram is a program with every field set.
func newProgram(id string) pin.Program {
	return pin.Program{
		ID: id, Name: "Programme d'été", MinPINLength: 4, MaxPINLength: 12, TryLimit: 3, Policy: pin.PolicyHistory,
		RetrievalAllowed: true, AliasCapability: true, CardProfileMandatory: true, CPlus: true, TimeZone: "Asia/Kolkata",
		FrameAncestors: []string{"https://a.example", "https://b.example"}, ParentOrigin: "https://a.example",
		Branding: map[string]string{"title": "Ihre PIN", "color": "#123456"}, Languages: []string{"de", "en"},
		Version: 1, CreatedAt: at, UpdatedAt: at.Add(time.Microsecond),
	}
}

// newCard is a card with every field set. Its references carry its id, so that two cards share none.
func newCard(programID, id string) pin.Card {
	return pin.Card{
		ID: id, ProgramID: programID, Status: pin.StatusUpgrade, UpgradeStatus: 1, Expiry: "3012", Sequence: "01",
		PANCiphertext: []byte{1, 0, 2},
		Attributes: pin.Attributes{
			CustomerReference: "customer reference", EmbossName: "A CARDHOLDER", CustomerID: "customer", MobileNumber: "+4915100000000",
			EmailAddress: "a@example.com", CardProfileID: "profile", ProgramCode: "CODE", DevicePlanCode: "PLAN", InstitutionCode: "institution",
			CardholderID: "cardholder", WalletID: "wallet",
		},
		References: []pin.Reference{{Kind: pin.KindAlias, Value: "alias"}, {Kind: pin.KindPublicToken, Value: "token " + id}, {Kind: pin.KindURN, Value: "urn " + id}},
		Version:    1, CreatedAt: at, UpdatedAt: at.Add(time.Microsecond),
	}
}

// newPIN is a PIN with every field set and three tries.
func newPIN() pin.PINRecord {
	return pin.PINRecord{State: pin.PINAssigned, Verifier: []byte("verifier 1"), Ciphertext: []byte{0, 255}, Version: 1, TriesLeft: 3, ChangedAt: at}
}

// withCards stores the program "program" and cards in it, with newPIN's PIN and the PAN index "pan <id>".
func withCards(t require.TestingT, s Store, ids ...string) {
	tx(t, s, func(tx pin.Tx) error {
		if err := tx.InsertProgram(newProgram("program")); err != nil {
			return err
		}
		for _, id := range ids {
			if err := tx.InsertCard(newCard("program", id), "pan "+id, newPIN()); err != nil {
				return err
			}
		}
		return nil
	})
}

// record finds one card by its id.
func record(t require.TestingT, s Store, cardID string) pin.Record {
	found, err := s.Find(context.Background(), pin.Search{CardID: cardID, Limit: 2})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}
