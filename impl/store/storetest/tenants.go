package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// bytewise are ids in the order that Go gives them, which a database's own collation may not.
var bytewise = []string{"A", "B", "Z-1", "_", "a", "a-1", "a1", "b", "é"}

var programTests = []test{
	{"a program comes back as it was written", func(t *testing.T, s Store) {
		for _, want := range []pin.Program{
			newProgram("every field"),
			{ID: "no field", CreatedAt: at, UpdatedAt: at},
			{ID: "empty lists", FrameAncestors: []string{}, Branding: map[string]string{}, Languages: []string{}, CreatedAt: at, UpdatedAt: at},
		} {
			tx(t, s, func(tx pin.Tx) error { return tx.InsertProgram(want) })
			got, err := s.Program(context.Background(), want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}},
	{"a time of another zone, or finer than a microsecond, comes back in UTC and to the microsecond", func(t *testing.T, s Store) {
		p := newProgram("program")
		p.CreatedAt = at.Add(999 * time.Nanosecond).In(time.FixedZone("east", 5*3600+1800))
		tx(t, s, func(tx pin.Tx) error { return tx.InsertProgram(p) })
		got, err := s.Program(context.Background(), p.ID)
		require.NoError(t, err)
		require.Equal(t, at, got.CreatedAt)
	}},
	{"a program that is not there is not found", func(t *testing.T, s Store) {
		_, err := s.Program(context.Background(), "nobody")
		requireCode(t, err, pin.NotFound)
	}},
	{"a program's id is taken once", func(t *testing.T, s Store) {
		withCards(t, s)
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertProgram(newProgram("program")) }), pin.Duplicate, "program")
	}},
	{"an update writes everything but id and creation", func(t *testing.T, s Store) {
		withCards(t, s)
		want := pin.Program{ID: "program", Name: "New", Version: 2, CreatedAt: at.Add(time.Hour), UpdatedAt: at.Add(2 * time.Hour)}
		tx(t, s, func(tx pin.Tx) error { return tx.UpdateProgram(want) })
		got, err := s.Program(context.Background(), "program")
		require.NoError(t, err)
		want.CreatedAt = at
		require.Equal(t, want, got)
	}},
	{"an update must follow the version that is stored", func(t *testing.T, s Store) {
		withCards(t, s)
		for _, version := range []int64{0, 1, 3} {
			stale := newProgram("program")
			stale.Version, stale.Name = version, "stale"
			requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateProgram(stale) }), pin.Conflict)
		}
		got, err := s.Program(context.Background(), "program")
		require.NoError(t, err)
		require.Equal(t, newProgram("program"), got)
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateProgram(newProgram("nobody")) }), pin.NotFound)
	}},
	{"programs come in pages, in the order of their ids", func(t *testing.T, s Store) {
		for i := range bytewise {
			tx(t, s, func(tx pin.Tx) error { return tx.InsertProgram(newProgram(bytewise[len(bytewise)-1-i])) })
		}
		require.Equal(t, bytewise, paged(t, 2, func(p pin.Page) ([]string, error) {
			page, err := s.Programs(context.Background(), p)
			return each(page, func(p pin.Program) string { return p.ID }), err
		}))
	}},
}

// paged reads all pages of a list of ids, none of which may hold more than limit.
func paged(t *testing.T, limit int, list func(p pin.Page) ([]string, error)) []string {
	var all []string
	for p := (pin.Page{Limit: limit}); ; p.After = all[len(all)-1] {
		page, err := list(p)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		if all = append(all, page...); len(page) < limit {
			return all
		}
	}
}

func each[T, R any](list []T, f func(T) R) []R {
	out := make([]R, 0, len(list))
	for _, x := range list {
		out = append(out, f(x))
	}
	return out
}

// newClient is a client with every field set, but for its revocation.
func newClient(programID, id string) pin.Client {
	return pin.Client{
		ID: id, ProgramID: programID, Contract: "thredd", Name: "Partner", SecretMAC: []byte("mac"), OldSecretMAC: []byte("old mac"),
		OldUntil: at.Add(time.Hour), Scopes: []string{"pin:set", "pin:verify"},
		Settings: pin.ClientSettings{EncryptionRequired: true, MessageKeyIDs: []string{"k1", "k2"}, IVMode: "fixed"},
		Version:  1, CreatedAt: at,
	}
}

var clientTests = []test{
	{"a client comes back as it was written", func(t *testing.T, s Store) {
		revoked := newClient("program", "revoked")
		revoked.RevokedAt = at.Add(time.Minute)
		for _, want := range []pin.Client{newClient("program", "every field"), {ID: "few fields", SecretMAC: []byte("mac"), CreatedAt: at}, revoked} {
			tx(t, s, func(tx pin.Tx) error { return tx.InsertClient(want) })
			got, err := s.Client(context.Background(), want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}},
	{"a client that is not there is not found", func(t *testing.T, s Store) {
		_, err := s.Client(context.Background(), "nobody")
		requireCode(t, err, pin.NotFound)
	}},
	{"a client's id is taken once", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error { return tx.InsertClient(newClient("program", "client")) })
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertClient(newClient("other", "client")) }), pin.Duplicate, "client")
	}},
	{"an update must follow the version that is stored", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error { return tx.InsertClient(newClient("program", "client")) })
		want := pin.Client{ID: "client", ProgramID: "program", Contract: "accosa", SecretMAC: []byte("new"), Version: 2, CreatedAt: at, RevokedAt: at}
		tx(t, s, func(tx pin.Tx) error { return tx.UpdateClient(want) })
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateClient(want) }), pin.Conflict)
		got, err := s.Client(context.Background(), "client")
		require.NoError(t, err)
		require.Equal(t, want, got)
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateClient(newClient("program", "nobody")) }), pin.NotFound)
	}},
	{"active clients come in pages, of one program or of all", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error {
			for i, id := range bytewise {
				c := newClient([]string{"even", "odd"}[i%2], id)
				if i > 6 {
					c.RevokedAt = at
				}
				if err := tx.InsertClient(c); err != nil {
					return err
				}
			}
			return nil
		})
		for programID, want := range map[string][]string{"": bytewise[:7], "odd": {"B", "_", "a-1"}, "even": {"A", "Z-1", "a", "a1"}, "none": nil} {
			require.Equal(t, want, paged(t, 2, func(p pin.Page) ([]string, error) {
				page, err := s.Clients(context.Background(), programID, p)
				return each(page, func(c pin.Client) string { return c.ID }), err
			}), programID)
		}
	}},
}

var zoneKeyTests = []test{
	{"a zone key comes back as it was written", func(t *testing.T, s Store) {
		want := pin.ZoneKey{ID: "key", ProgramID: "program", Usage: pin.UsageZonePIN, Algorithm: "AES", Wrapped: []byte("wrapped"), CheckValue: "A1B2C3", Version: 7, CreatedAt: at}
		retired := want
		retired.ID, retired.RetiredAt = "retired", at.Add(time.Hour)
		for _, want := range []pin.ZoneKey{want, retired} {
			tx(t, s, func(tx pin.Tx) error { return tx.InsertZoneKey(want) })
			got, err := s.ZoneKey(context.Background(), want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertZoneKey(want) }), pin.Duplicate, "zoneKey")
	}},
	{"a zone key that is not there is not found", func(t *testing.T, s Store) {
		_, err := s.ZoneKey(context.Background(), "nobody")
		requireCode(t, err, pin.NotFound)
	}},
}
