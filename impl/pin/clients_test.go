package pin_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestANewClientIsWhatItWasAskedToBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	draft := pin.Client{ProgramID: w.program.ID, Contract: "thredd", Name: "Partner", Scopes: []string{"a"}, Settings: json.RawMessage(`{"bankId":"b"}`),
		Secrets: map[string][]byte{"code": []byte("mac")}}
	c, secret, err := w.CreateClient(by(t), draft, "", pin.Memo{Description: "why"})
	require.NoError(t, err)
	require.Len(t, secret, 43, "256 bits")
	require.Len(t, c.ID, 36)
	require.NotEmpty(t, c.SecretDigest)
	draft.ID, draft.SecretDigest, draft.Version, draft.SecretVersion, draft.CreatedAt = c.ID, c.SecretDigest, 1, 1, w.clock()
	require.Equal(t, draft, c)
	read, err := w.Client(by(t), c.ID)
	require.NoError(t, err)
	require.Equal(t, c, read)
	last := w.events(t, w.program.ID)[1]
	require.Equal(t, pin.EventClientCreated, last.Type)
	require.Equal(t, c.ID, last.Subject)
	require.Equal(t, int64(1), last.Version)
	require.Equal(t, "why", last.Description)
	require.Equal(t, []pin.FieldChange{{Field: "contract", New: "thredd"}, {Field: "id"}, {Field: "name", New: "Partner"}, {Field: "programId", New: w.program.ID},
		{Field: "scopes", New: `["a"]`}, {Field: "secretDigest"}, {Field: "secretVersion"}, {Field: "secrets"}, {Field: "thredd.bankId", New: "b"}}, last.Changes, "secrets are named only")

	c, secret, err = w.CreateClient(by(t), pin.Client{ID: "given", Contract: "issuer"}, "given too", pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, "given", c.ID)
	require.Equal(t, "given too", secret)
	authenticated, err := w.Authenticate(by(t), "given", "given too")
	require.NoError(t, err)
	require.Equal(t, c, authenticated)
	_, _, err = w.CreateClient(by(t), pin.Client{ID: "given", Contract: "issuer"}, "", pin.Memo{})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, "clients", pin.FieldOf(err))
	_, _, err = w.CreateClient(by(t), pin.Client{ProgramID: "nobody's", Contract: "thredd"}, "", pin.Memo{})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
}

// Who makes, changes, rotates or revokes a client must reach it and hold what granting each of its scopes
// takes: one rule for four operations.
func TestNobodyDisposesOfMoreThanTheyMayGrant(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	other, err := w.CreateProgram(by(t), pin.NewProgram("other"), pin.Memo{})
	require.NoError(t, err)
	own := pin.Caller{ProgramID: w.program.ID, Contract: "issuer", Scopes: []string{"clients:write", "pins:set"}}
	server := pin.Caller{Everywhere: true, Contract: "issuer", Scopes: own.Scopes}
	for name, test := range map[string]struct {
		who     pin.Caller
		program string
		scopes  []string
		want    pin.Code // of making it
		stands  pin.Code // of changing, rotating or revoking it where it is there
	}{
		"what they may themselves":             {own, w.program.ID, []string{"pins:set"}, "", ""},
		"all that they may":                    {own, w.program.ID, []string{"pins:set", "clients:write"}, "", ""},
		"nothing":                              {own, w.program.ID, nil, "", ""},
		"one that they may not grant":          {own, w.program.ID, []string{"pins:set", "pins:read"}, pin.Forbidden, pin.Forbidden},
		"another program's":                    {own, other.ID, nil, pin.Forbidden, pin.NotFound},
		"the whole server's, by a program's":   {own, "", nil, pin.Forbidden, pin.NotFound},
		"the whole server's, by its own":       {server, "", []string{"pins:set"}, "", ""},
		"more than its own, by a server's":     {server, "", []string{"pins:read"}, pin.Forbidden, pin.Forbidden},
		"anything, by the operator":            {operator, "", []string{"pins:read"}, "", ""},
		"anything of a program, by nobody":     {pin.Caller{}, w.program.ID, nil, pin.Forbidden, pin.NotFound},
		"anything of the server, by nobody":    {pin.Caller{}, "", nil, pin.Forbidden, pin.NotFound},
		"a program's, by a narrowed operator":  {pin.Caller{ProgramID: w.program.ID, Operator: true}, w.program.ID, []string{"pins:read"}, "", ""},
		"another's, by a narrowed operator":    {pin.Caller{ProgramID: w.program.ID, Operator: true}, other.ID, nil, pin.Forbidden, pin.NotFound},
		"the server's, by a narrowed operator": {pin.Caller{ProgramID: w.program.ID, Operator: true}, "", nil, pin.Forbidden, pin.NotFound},
	} {
		ctx := pin.WithCaller(by(t), test.who)
		draft := pin.Client{ProgramID: test.program, Contract: "thredd", Scopes: test.scopes}
		_, _, err := w.CreateClient(ctx, draft, "", pin.Memo{})
		require.Equal(t, test.want, pin.CodeOf(err), name)

		there, secret, err := w.CreateClient(by(t), draft, "", pin.Memo{})
		require.NoError(t, err, name)
		_, _, err = w.RotateClient(ctx, there.ID, time.Hour, pin.Memo{})
		require.Equal(t, test.stands, pin.CodeOf(err), name)
		err = w.UpdateClient(ctx, there.ID, func(c *pin.Client) error { c.Name = "x"; return nil }, pin.Memo{})
		require.Equal(t, test.stands, pin.CodeOf(err), name)
		err = w.RevokeClient(ctx, there.ID, pin.Memo{})
		require.Equal(t, test.stands, pin.CodeOf(err), name)
		_, err = w.Authenticate(ctx, there.ID, secret)
		require.Equal(t, test.stands != "", err == nil, "%s: what was refused changed nothing", name)
	}
	require.True(t, own.May())
	require.True(t, own.May("clients:write", "pins:set"))
	require.False(t, own.May("pins:set", "x"))

	_, _, err = w.CreateClient(by(t), pin.Client{Contract: "thredd", Scopes: []string{"none"}}, "", pin.Memo{})
	require.Equal(t, pin.InvalidField, pin.CodeOf(err), "no contract has it, whoever asks")
	require.Equal(t, "scopes", pin.FieldOf(err))
	c, _, err := w.CreateClient(by(t), pin.Client{ProgramID: w.program.ID, Contract: "thredd", Scopes: []string{"pins:set"}}, "", pin.Memo{})
	require.NoError(t, err)
	more := func(c *pin.Client) error { c.Scopes = append(c.Scopes, "pins:read"); return nil }
	require.Equal(t, pin.Forbidden, pin.CodeOf(w.UpdateClient(pin.WithCaller(by(t), own), c.ID, more, pin.Memo{})), "a change that adds what they may not grant")
	_, _, err = pin.NewVault(w.store, w.ring, w.clock, nil).CreateClient(by(t), pin.Client{Contract: "thredd", Scopes: []string{"pins:set"}}, "", pin.Memo{})
	require.Equal(t, pin.InvalidField, pin.CodeOf(err), "where nobody has said who may grant what")
}

// A token is good while the secret that it was issued for is the client's, or overlaps.
func TestATokenIsGoodAsLongAsItsSecret(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := pin.Client{Version: 9, SecretVersion: 7, OldSecretVersion: 4, OldUntil: now}
	for name, test := range map[string]struct {
		version int64
		at      time.Time
		want    bool
	}{
		"of this version":                        {9, now, true},
		"from before the last change":            {8, now, true},
		"from the rotation on":                   {7, now, true},
		"of the secret before, within its time":  {6, now.Add(-1), true},
		"of the first of that, within its time":  {4, now.Add(-1), true},
		"of the secret before, its time is over": {6, now, false},
		"of a secret before that":                {3, now.Add(-1), false},
		"of no version":                          {0, now.Add(-1), false},
		"of a version to come":                   {10, now, false},
	} {
		require.Equal(t, test.want, c.Honours(test.version, test.at), name)
	}
}

func TestRotationAndRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, first, err := w.CreateClient(by(t), pin.Client{ProgramID: w.program.ID, Contract: "thredd", Name: "x"}, "", pin.Memo{})
	require.NoError(t, err)
	accepted := func(secret string) bool {
		got, err := w.Authenticate(by(t), c.ID, secret)
		if err != nil {
			require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
			require.Zero(t, got)
		}
		return err == nil
	}
	w.later(time.Minute)
	rotated, second, err := w.RotateClient(by(t), c.ID, 0, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, int64(2), rotated.Version)
	require.Equal(t, c.SecretDigest, rotated.OldSecretDigest)
	require.Equal(t, w.clock(), rotated.OldUntil)
	require.Len(t, second, 43)
	require.False(t, accepted(first), "an overlap of nothing is over at once")
	require.True(t, accepted(second))
	rotated, newest, err := w.RotateClient(by(t), c.ID, time.Hour, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, int64(3), rotated.Version)
	require.Equal(t, w.clock().Add(time.Hour), rotated.OldUntil)
	events := w.events(t, w.program.ID)
	require.Contains(t, events[len(events)-1].Changes, pin.FieldChange{Field: "oldUntil", Old: w.clock().Format(time.RFC3339Nano), New: w.clock().Add(time.Hour).Format(time.RFC3339Nano)},
		"a time is no PAN")
	require.True(t, accepted(second))
	require.True(t, accepted(newest))
	require.False(t, accepted(first), "the one before the last")
	w.later(time.Hour)
	require.False(t, accepted(second))
	require.True(t, accepted(newest))

	w.later(time.Minute)
	require.NoError(t, w.RevokeClient(by(t), c.ID, pin.Memo{}))
	require.False(t, accepted(newest), "at once in this process")
	for _, err := range []error{
		w.RevokeClient(by(t), c.ID, pin.Memo{}), w.RevokeClient(by(t), "nobody", pin.Memo{}),
		third(w.RotateClient(by(t), c.ID, 0, pin.Memo{})), third(w.RotateClient(by(t), "nobody", 0, pin.Memo{})),
	} {
		require.Equal(t, pin.NotFound, pin.CodeOf(err))
	}
	_, err = w.Client(by(t), c.ID)
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	var told []string
	for _, e := range w.events(t, w.program.ID) {
		told = append(told, fmt.Sprint(e.Type, " ", e.Version))
	}
	require.Equal(t, []string{"program.created 1", "client.created 1", "client.rotated 2", "client.rotated 3", "client.revoked 4"}, told)
}

func third[A, B any](_ A, _ B, err error) error { return err }

// Of two who change a client at once one is told to come back.
func TestAClientIsChangedByOneAtATime(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	c, _, err := w.CreateClient(by(t), pin.Client{ProgramID: w.program.ID, Contract: "thredd"}, "", pin.Memo{})
	require.NoError(t, err)
	rival := meanwhile("Swap", func() { require.NoError(t, third(w.sibling().RotateClient(by(t), c.ID, 0, pin.Memo{}))) })
	w.tap.before = rival
	err = third(w.RotateClient(by(t), c.ID, 0, pin.Memo{}))
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Equal(t, "clients", pin.FieldOf(err))
	w.tap.before = meanwhile("Swap", func() { require.NoError(t, w.sibling().RevokeClient(by(t), c.ID, pin.Memo{})) })
	require.Equal(t, pin.Conflict, pin.CodeOf(w.RevokeClient(by(t), c.ID, pin.Memo{})))
}

func TestClientsAreListedInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 7 {
		program := w.program.ID
		if i == 6 {
			program = ""
		}
		_, _, err := w.CreateClient(by(t), pin.Client{ID: fmt.Sprint(i), ProgramID: program, Contract: "thredd"}, "", pin.Memo{})
		require.NoError(t, err)
	}
	for _, gone := range []string{"1", "2", "3"} {
		require.NoError(t, w.RevokeClient(by(t), gone, pin.Memo{}))
	}
	server, bound := by(t), pin.WithCaller(by(t), pin.Caller{ProgramID: w.program.ID})
	for _, test := range []struct {
		after string
		limit int
		want  []string
		bound []string
	}{
		{"", 0, nil, nil},
		{"", 1, []string{"0"}, []string{"0"}},
		{"0", 1, []string{"4"}, []string{"4"}},
		{"", 2, []string{"0", "4"}, []string{"0", "4"}},
		{"", 3, []string{"0", "4", "5"}, []string{"0", "4", "5"}},
		{"", 4, []string{"0", "4", "5", "6"}, []string{"0", "4", "5"}},
		{"", 5, []string{"0", "4", "5", "6"}, []string{"0", "4", "5"}},
		{"", 100, []string{"0", "4", "5", "6"}, []string{"0", "4", "5"}},
		{"4", 2, []string{"5", "6"}, []string{"5"}},
		{"5", 3, []string{"6"}, nil},
		{"6", 3, nil, nil},
	} {
		ids := func(all []pin.Client, err error) (out []string) {
			require.NoError(t, err)
			for _, c := range all {
				out = append(out, c.ID)
			}
			return out
		}
		page := pin.Page{After: test.after, Limit: test.limit}
		require.Equal(t, test.want, ids(w.Clients(server, page)), "%+v", test)
		require.Equal(t, test.bound, ids(w.Clients(bound, page)), "%+v", test)
	}
}

// A burst of calls asks for a client once. What another process changed counts within a second.
func TestAClientThatWasJustReadIsTakenAsItWas(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	c, secret, err := w.CreateClient(by(t), pin.Client{Contract: "thredd"}, "", pin.Memo{})
	require.NoError(t, err)
	reads := func() (n int) {
		w.tap.count, w.tap.calls = true, nil
		_, err = w.Authenticate(by(t), c.ID, secret)
		for _, call := range w.tap.calls {
			if call == "Row clients" {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1, reads())
	require.NoError(t, err)
	require.NoError(t, w.sibling().RevokeClient(by(t), c.ID, pin.Memo{}))
	w.later(400*time.Millisecond - time.Microsecond)
	require.Zero(t, reads())
	require.NoError(t, err, "still")
	w.later(time.Microsecond)
	require.Equal(t, 1, reads())
	require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	w.later(-time.Millisecond)
	require.Equal(t, 1, reads(), "a clock that was put back keeps nothing alive")

	w.tap.before = always("Row clients", errDown)
	_, err = w.Authenticate(by(t), "somebody else", secret)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err), "nobody knows whether the secret is good")
}

// Refusals are told, but nobody fills the trail by knocking.
func TestRefusedLoginsAreToldNowAndThen(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	c, _, err := w.CreateClient(by(t), pin.Client{Contract: "thredd"}, "", pin.Memo{})
	require.NoError(t, err)
	seen := len(w.events(t, "server"))
	for range 25 {
		_, err := w.Authenticate(by(t), c.ID, "wrong")
		require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	}
	_, err = w.Authenticate(by(t), "nobody", "wrong")
	require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	for range 2 {
		w.AccessRefused(pin.WithCaller(by(t), pin.Caller{ClientID: c.ID, ProgramID: w.program.ID}), "setPin")
	}
	w.AccessRefused(pin.WithCaller(by(t), pin.Caller{ClientID: c.ID}), "getPin")
	var got []string
	for _, e := range w.events(t, "server")[seen:] {
		got = append(got, fmt.Sprint(e.Type, " ", e.Subject == c.ID, " ", e.Outcome, " ", e.Changes))
	}
	require.Equal(t, []string{"login.refused true unauthorized [{refusals  1}]", "login.refused true unauthorized [{refusals  10}]",
		"login.refused false unauthorized [{refusals  1}]", "access.refused true forbidden [{refusals  1}]", "access.refused true forbidden [{refusals  1}]"}, got)

	w.later(time.Hour)
	_, err = w.Authenticate(by(t), c.ID, "wrong")
	require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	all := w.events(t, "server")
	require.Equal(t, []pin.FieldChange{{Field: "refusals", New: "1"}}, all[len(all)-1].Changes, "an hour later it is the first again")

	w.tap.before = always("Swap", errDown)
	_, err = w.Authenticate(by(t), "another nobody", "wrong")
	require.Equal(t, pin.Unauthorized, pin.CodeOf(err), "a trail that cannot be written changes nothing about a refusal")
	_, err = w.with(&faultyKeys{op: "MAC", use: pin.UseFingerprint}, nil).Authenticate(by(t), "yet another", "wrong")
	require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
}

// However many names somebody tries, a thousand of them an hour are told of.
func TestRefusalsOfManyNamesAreBounded(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	seen := len(w.events(t, "server"))
	for i := range 1100 {
		_, err := w.Authenticate(by(t), fmt.Sprint("nobody ", i), "wrong")
		require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	}
	require.Len(t, w.events(t, "server"), seen+1000)
	for range 9 { // one that was not told of yet is at its tenth time
		_, _ = w.Authenticate(by(t), "nobody 1099", "wrong")
	}
	require.Len(t, w.events(t, "server"), seen+1001)
}

// matches tells whether a value is a client's secret setting.
func (w *world) matches(t *testing.T, c pin.Client, name, value string) bool {
	t.Helper()
	right, err := w.SettingMatches(c, name, value)
	require.NoError(t, err)
	return right
}

func TestOfSettingsThatAreSecretADigestIsKept(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	c := pin.Client{ID: "client"}
	require.NoError(t, w.KeepSetting(&c, "code", "1234"))
	require.NoError(t, w.KeepSetting(&c, "second", "1234"))
	require.NotEqual(t, c.Secrets["code"], c.Secrets["second"])
	require.Equal(t, "client", c.ID)
	require.True(t, w.matches(t, c, "code", "1234"))
	require.True(t, w.matches(t, c, "second", "1234"))
	require.False(t, w.matches(t, c, "code", "123"))
	require.False(t, w.matches(t, c, "none", ""))
	_, err := w.SettingMatches(pin.Client{ID: "client", Secrets: map[string][]byte{"other": c.Secrets["code"]}}, "other", "1234")
	require.Equal(t, pin.Internal, pin.CodeOf(err), "of another setting")
	_, err = w.SettingMatches(pin.Client{ID: "other", Secrets: c.Secrets}, "code", "1234")
	require.Equal(t, pin.Internal, pin.CodeOf(err), "of another client")
	secret, err := pin.KeepSecret(w.ring, "1234", "client", "client")
	require.NoError(t, err)
	_, err = w.SettingMatches(pin.Client{ID: "client", Secrets: map[string][]byte{"code": secret}}, "code", "1234")
	require.Equal(t, pin.Internal, pin.CodeOf(err), "a client's secret is no setting")

	fresh := pin.Client{}
	require.NoError(t, w.KeepSetting(&fresh, "code", "1234"))
	require.NotEmpty(t, fresh.ID, "an id is drawn for a client that has none")
	require.True(t, w.matches(t, fresh, "code", "1234"))
}
