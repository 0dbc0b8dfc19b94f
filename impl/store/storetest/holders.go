package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

var holderTests = []test{
	{"cards are found by who holds them", func(t *testing.T, s Store) {
		withCards(t, s, "a")
		tx(t, s, func(tx pin.Tx) error {
			if err := tx.InsertProgram(newProgram("other")); err != nil {
				return err
			}
			for _, c := range []struct{ program, id, customer, mobile, profile string }{
				{"program", "b", "customer", "2", "profile"},
				{"program", "c", "somebody", "2", "gold"},
				{"program", "d", "", "2", ""},
				{"other", "e", "customer", "2", "profile"},
			} {
				card := referring(c.program, c.id, pin.Reference{Kind: pin.KindURN, Value: "urn " + c.id})
				card.CustomerID, card.MobileNumber, card.CardProfileID = c.customer, c.mobile, c.profile
				if err := tx.InsertCard(card, "", newPIN()); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			name string
			q    pin.Search
			want []string
		}{
			{"a customer", pin.Search{Holder: pin.Holder{CustomerID: "customer"}, Limit: 9}, []string{"a", "b", "e"}},
			{"a customer of a program", pin.Search{ProgramID: "program", Holder: pin.Holder{CustomerID: "customer"}, Limit: 9}, []string{"a", "b"}},
			{"a customer, and a limit", pin.Search{Holder: pin.Holder{CustomerID: "customer"}, Limit: 1}, []string{"a"}},
			{"a mobile number", pin.Search{ProgramID: "program", Holder: pin.Holder{MobileNumber: "2"}, Limit: 9}, []string{"b", "c", "d"}},
			{"a mobile number of anybody but a customer", pin.Search{ProgramID: "program", Holder: pin.Holder{MobileNumber: "2", NotCustomerID: "customer"}, Limit: 9}, []string{"c", "d"}},
			{"a card profile", pin.Search{Holder: pin.Holder{CardProfileID: "gold"}, Limit: 9}, []string{"c"}},
			{"a customer's reference", pin.Search{Criteria: []pin.Criterion{{Kind: pin.KindURN, Values: []string{"urn b"}}}, Holder: pin.Holder{CustomerID: "customer"}, Limit: 9}, []string{"b"}},
			{"another customer's reference", pin.Search{Criteria: []pin.Criterion{{Kind: pin.KindURN, Values: []string{"urn b"}}}, Holder: pin.Holder{CustomerID: "somebody"}, Limit: 9}, []string{}},
			{"nobody's number", pin.Search{Holder: pin.Holder{MobileNumber: "9"}, Limit: 9}, []string{}},
		} {
			t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, find(t, s, c.q)) })
		}
	}},
	{"a client's settings come back as they were written", func(t *testing.T, s Store) {
		want := pin.ClientSettings{EncryptionRequired: true, MessageKeyIDs: []string{"new", "old"}, IVMode: "fixed",
			FixedIV: "000102030405060708090a0b0c0d0e0f", PartnerClientID: "2000", BankID: "7000", EntityID: "100", SecureCodeMAC: []byte{1, 0, 255}}
		tx(t, s, func(tx pin.Tx) error {
			return tx.InsertClient(pin.Client{ID: "client", Contract: "accosa", SecretMAC: []byte{1}, Settings: want, Version: 1, CreatedAt: at})
		})
		got, err := s.Client(t.Context(), "client")
		require.NoError(t, err)
		require.Equal(t, want, got.Settings)
	}},
}
