package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// sequences are those that partners' numbers come from.
var sequences = []string{"service_request", "accosa_ref"}

// next takes the next number of a sequence in a transaction of its own.
func next(s Store, sequence string) (n int64, err error) {
	err = in(s, func(tx pin.Tx) (err error) { n, err = tx.NextNumber(sequence); return err })
	return n, err
}

var serviceRequestTests = []test{
	{"a service request comes back as it was written", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, want := range []pin.ServiceRequest{
			{Number: "SR0000000001", ProgramID: "program", CardID: "card", ClientID: "client", Contract: "creditplus", Version: "v2",
				ServiceCode: "109", Notes: "größer 🙂", Source: "IVR", LoggedAt: at},
			{Number: "SR0000000002", CardID: "card", LoggedAt: at},
		} {
			tx(t, s, func(tx pin.Tx) error { return tx.InsertServiceRequest(want) })
			got, err := s.ServiceRequest(context.Background(), want.Number)
			require.NoError(t, err)
			require.Equal(t, want, got)
			requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertServiceRequest(want) }), pin.Duplicate, "serviceRequest")
		}
	}},
	{"a service request that is not there is not found", func(t *testing.T, s Store) {
		_, err := s.ServiceRequest(context.Background(), "SR0000000001")
		requireCode(t, err, pin.NotFound)
	}},
	{"each sequence counts for itself, from one", func(t *testing.T, s Store) {
		require.NoError(t, s.Wipe(context.Background()))
		for want := range int64(3) {
			for _, sequence := range sequences {
				n, err := next(s, sequence)
				require.NoError(t, err)
				require.Equal(t, want+1, n, sequence)
			}
		}
		require.NoError(t, s.Wipe(context.Background()))
		n, err := next(s, sequences[0])
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	}},
	{"no number is given out twice, whatever is undone", func(t *testing.T, s Store) {
		var mutex sync.Mutex
		var given []int64
		together(t, 40, func(i int) error {
			n, err := int64(0), error(nil)
			err = in(s, func(tx pin.Tx) error {
				if n, err = tx.NextNumber(sequences[i%2]); err == nil && i%4 > 1 {
					err = errDomain
				}
				return err
			})
			if i%4 > 1 {
				require.ErrorIs(t, err, errDomain)
				return nil
			}
			if i%2 == 0 {
				mutex.Lock()
				defer mutex.Unlock()
				given = append(given, n)
			}
			return err
		})
		require.Len(t, given, 10)
		slices.Sort(given)
		require.Len(t, slices.Compact(given), 10)
	}},
	{"a number rises above those given before", func(t *testing.T, s Store) {
		last := int64(0)
		for range 5 {
			n, err := next(s, "accosa_ref")
			require.NoError(t, err)
			require.Greater(t, n, last)
			last = n
		}
	}},
	{"a sequence that nobody knows is a fault of ours", func(t *testing.T, s Store) {
		_, err := next(s, "no_such_sequence")
		requireCode(t, err, pin.Internal)
	}},
}
