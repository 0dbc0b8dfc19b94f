package pin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

var noonOfKeys = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// keyIn is a key that has come to a state.
func keyIn(state pin.KeyState) pin.ZoneKey {
	return pin.ZoneKey{ID: "k", Usage: pin.UsageZonePIN, Algorithm: "TDES", Wrapped: []byte("sealed"), CheckValue: "08D7B4", State: state,
		RetiresAt: map[pin.KeyState]time.Time{pin.KeyRetiring: noonOfKeys.Add(time.Hour)}[state]}
}

// Every step from every state: where it leads, or that the state forbids it.
func TestALifeOfAKey(t *testing.T) {
	t.Parallel()
	const no = ""
	steps := map[string]func(pin.ZoneKey) (pin.ZoneKey, error){
		"activate":  func(k pin.ZoneKey) (pin.ZoneKey, error) { return k.Activated(noonOfKeys) },
		"wind down": func(k pin.ZoneKey) (pin.ZoneKey, error) { return k.Retired(noonOfKeys.Add(time.Second), noonOfKeys) },
		"retire":    func(k pin.ZoneKey) (pin.ZoneKey, error) { return k.Retired(noonOfKeys, noonOfKeys) },
		"destroy":   func(k pin.ZoneKey) (pin.ZoneKey, error) { return k.Destroyed(noonOfKeys) },
	}
	for _, row := range []struct {
		from  pin.KeyState
		leads map[string]pin.KeyState
	}{
		{pin.KeyPending, map[string]pin.KeyState{"activate": pin.KeyActive, "wind down": no, "retire": no, "destroy": pin.KeyDestroyed}},
		{pin.KeyActive, map[string]pin.KeyState{"activate": no, "wind down": pin.KeyRetiring, "retire": pin.KeyRetired, "destroy": no}},
		{"", map[string]pin.KeyState{"activate": no, "wind down": pin.KeyRetiring, "retire": pin.KeyRetired, "destroy": no}},
		{pin.KeyRetiring, map[string]pin.KeyState{"activate": no, "wind down": pin.KeyRetiring, "retire": pin.KeyRetired, "destroy": no}},
		{pin.KeyRetired, map[string]pin.KeyState{"activate": no, "wind down": no, "retire": no, "destroy": pin.KeyDestroyed}},
		{pin.KeyDestroyed, map[string]pin.KeyState{"activate": no, "wind down": no, "retire": no, "destroy": no}},
	} {
		require.Len(t, row.leads, len(steps))
		for name, step := range steps {
			after, err := step(keyIn(row.from))
			if row.leads[name] == no {
				require.ErrorIs(t, err, pin.KeyStateForbids, "%s %s", row.from, name)
				require.Equal(t, pin.Conflict, pin.CodeOf(err))
				continue
			}
			require.NoError(t, err, "%s %s", row.from, name)
			require.Equal(t, row.leads[name], after.State, "%s %s", row.from, name)
			require.Equal(t, after.State == pin.KeyDestroyed, after.Wrapped == nil, "only a destroyed key has no material")
			require.Equal(t, after.State == pin.KeyRetired, after.RetiredAt.Equal(noonOfKeys))
		}
	}
}

func TestWhatAKeyMayDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		key          pin.ZoneKey
		later        time.Duration
		opens, seals bool
	}{
		{"pending", keyIn(pin.KeyPending), 0, false, false},
		{"active", keyIn(pin.KeyActive), 0, true, true},
		{"of a row that names no state", keyIn(""), 0, true, true},
		{"retiring", keyIn(pin.KeyRetiring), time.Hour - 1, true, false},
		{"retiring, when its date has come", keyIn(pin.KeyRetiring), time.Hour, false, false},
		{"retired", keyIn(pin.KeyRetired), 0, false, false},
		{"destroyed", keyIn(pin.KeyDestroyed), 0, false, false},
		{"that may decrypt alone", pin.ZoneKey{Block: pin.KeyBlock{Mode: "D"}}, 0, true, false},
		{"that may encrypt alone", pin.ZoneKey{Block: pin.KeyBlock{Mode: "E"}}, 0, false, true},
		{"that may do both", pin.ZoneKey{Block: pin.KeyBlock{Mode: "B"}}, 0, true, true},
		{"that may do whatever its usage has", pin.ZoneKey{Block: pin.KeyBlock{Mode: "N"}}, 0, true, true},
		{"that may verify alone", pin.ZoneKey{Block: pin.KeyBlock{Mode: "V"}}, 0, true, false},
		{"that may generate alone", pin.ZoneKey{Block: pin.KeyBlock{Mode: "G"}}, 0, false, true},
		{"that derives others", pin.ZoneKey{Block: pin.KeyBlock{Mode: "X"}}, 0, false, false},
	} {
		require.Equal(t, test.opens, test.key.Opens(noonOfKeys.Add(test.later)), test.name)
		require.Equal(t, test.seals, test.key.Seals(noonOfKeys.Add(test.later)), test.name)
	}
	for exportability, want := range map[string]bool{"": false, "N": false, "E": true, "S": true} {
		require.Equal(t, want, pin.ZoneKey{Block: pin.KeyBlock{Exportability: exportability}}.Exportable(), exportability)
	}
}

func TestWhichKeysAUsageTakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		usage     pin.KeyUsage
		algorithm string
		bits      int
		takes     bool
		usual     int
	}{
		{pin.UsageZonePIN, "TDES", 128, true, 192}, {pin.UsageZonePIN, "TDES", 64, false, 192}, {pin.UsageZonePIN, "AES", 0, true, 256},
		{pin.UsageZonePIN, "RSA", 2048, true, 2048}, {pin.UsageMessage, "TDES", 0, false, 0}, {pin.UsageMessage, "AES", 128, false, 256},
		{pin.UsageMessage, "AES", 192, true, 256}, {pin.UsageZoneMaster, "RSA", 0, false, 0}, {pin.UsageVerification, "AES", 128, false, 0},
		{pin.UsageVerification, "TDES", 128, true, 192}, {pin.UsagePINMailer, "AES", 256, true, 256}, {"", "AES", 256, false, 0},
	} {
		require.Equal(t, test.takes, test.usage.Takes(test.algorithm, test.bits), "%s %s %d", test.usage, test.algorithm, test.bits)
		require.Equal(t, test.usual, test.usage.Usual(test.algorithm), "%s %s", test.usage, test.algorithm)
	}
}

func TestAKeyComesInAnothersPlace(t *testing.T) {
	t.Parallel()
	old := keyIn(pin.KeyActive)
	old.Succeeds = []string{"older"}
	next, err := pin.ZoneKey{ID: "next", Usage: pin.UsageZonePIN}.Follow(old, time.Hour, noonOfKeys)
	require.NoError(t, err)
	require.Equal(t, []string{"k", "older"}, next.Succeeds)
	require.True(t, next.Follows("k") && next.Follows("older") && !next.Follows("next"))

	after, err := old.SucceededBy(next, noonOfKeys)
	require.NoError(t, err)
	require.Equal(t, pin.KeyRetiring, after.State)
	require.Equal(t, noonOfKeys.Add(time.Hour), after.RetiresAt)
	require.Equal(t, "next", after.Successor)
	next.Overlap = 0
	after, err = old.SucceededBy(next, noonOfKeys)
	require.NoError(t, err)
	require.Equal(t, pin.KeyRetired, after.State, "without an overlap it ends at once")
	gone, err := keyIn(pin.KeyRetired).SucceededBy(next, noonOfKeys)
	require.NoError(t, err)
	require.Equal(t, pin.KeyRetired, gone.State, "one that was retired meanwhile stays so")
	_, err = after.SucceededBy(next, noonOfKeys)
	require.ErrorIs(t, err, pin.KeyStateForbids, "and another one was faster")

	for name, other := range map[string]pin.ZoneKey{
		"of another program":  {ID: "x", ProgramID: "p", Usage: pin.UsageZonePIN},
		"for another usage":   {ID: "x", Usage: pin.UsageMessage},
		"that has a follower": {ID: "x", Usage: pin.UsageZonePIN, Successor: "y"},
		"that is itself":      {ID: "next", Usage: pin.UsageZonePIN},
		"that is pending":     {ID: "x", Usage: pin.UsageZonePIN, State: pin.KeyPending},
	} {
		_, err := pin.ZoneKey{ID: "next", Usage: pin.UsageZonePIN}.Follow(other, 0, noonOfKeys)
		require.Equal(t, "succeeds", pin.FieldOf(err), name)
	}
}

// inCeremony is a key of so many components.
func inCeremony(components int) pin.ZoneKey {
	return pin.ZoneKey{ID: "k", Usage: pin.UsageZonePIN, Algorithm: "TDES", State: pin.KeyPending,
		Ceremony: &pin.Ceremony{Components: components, ExpiresAt: noonOfKeys.Add(time.Hour)}}
}

func part(number int, custodian string) pin.Part {
	return pin.Part{Number: number, Custodian: custodian, CheckValue: "91034A", Size: 128, Wrapped: []byte("sealed part")}
}

// entered is a key with components of these custodians.
func entered(t *testing.T, k pin.ZoneKey, custodians ...string) pin.ZoneKey {
	t.Helper()
	for i, custodian := range custodians {
		var err error
		k, err = k.Entered(part(i+1, custodian), noonOfKeys)
		require.NoError(t, err)
	}
	return k
}

func TestACeremonyTakesOneComponentOfEach(t *testing.T) {
	t.Parallel()
	long := part(2, "b")
	long.Size = 192
	for _, test := range []struct {
		name   string
		key    pin.ZoneKey
		part   pin.Part
		at     time.Time
		code   pin.Code
		reason error
		field  string
	}{
		{"the first", inCeremony(2), part(1, "a"), noonOfKeys, "", nil, ""},
		{"the second before the first", inCeremony(2), part(2, "a"), noonOfKeys, "", nil, ""},
		{"another custodian's", entered(t, inCeremony(2), "a"), part(2, "b"), noonOfKeys, "", nil, ""},
		{"a second one of a custodian", entered(t, inCeremony(3), "a"), part(2, "a"), noonOfKeys, pin.Conflict, pin.SameCustodian, ""},
		{"a number that was entered", entered(t, inCeremony(3), "a"), part(1, "b"), noonOfKeys, pin.Duplicate, nil, "number"},
		{"a number too high", inCeremony(2), part(3, "a"), noonOfKeys, pin.InvalidField, nil, "number"},
		{"a number too low", inCeremony(2), part(0, "a"), noonOfKeys, pin.InvalidField, nil, "number"},
		{"one of another length", entered(t, inCeremony(2), "a"), long, noonOfKeys, pin.InvalidField, nil, "component"},
		{"one more than there are", entered(t, inCeremony(2), "a", "b"), part(1, "c"), noonOfKeys, pin.Conflict, pin.KeyStateForbids, ""},
		{"one that comes too late", inCeremony(2), part(1, "a"), noonOfKeys.Add(time.Hour), pin.Conflict, pin.KeyStateForbids, ""},
		{"one for a key that was drawn", keyIn(pin.KeyPending), part(1, "a"), noonOfKeys, pin.Conflict, pin.KeyStateForbids, ""},
	} {
		before := test.key.WithoutMaterial()
		after, err := test.key.Entered(test.part, test.at)
		require.Equal(t, test.code, pin.CodeOf(err), test.name)
		require.Equal(t, test.field, pin.FieldOf(err), test.name)
		if test.reason != nil {
			require.ErrorIs(t, err, test.reason, test.name)
		}
		if err == nil {
			require.Len(t, after.Ceremony.Parts, len(before.Ceremony.Parts)+1, test.name)
		}
		require.Equal(t, before, test.key.WithoutMaterial(), "%s: what it was made of stays", test.name)
	}
	_, err := func() (pin.ZoneKey, error) {
		k := inCeremony(2)
		k.Size = 192
		return k.Entered(part(1, "a"), noonOfKeys)
	}()
	require.Equal(t, "component", pin.FieldOf(err), "the key was to have another length")
}

func TestACeremonyEndsWhenAllHaveConfirmed(t *testing.T) {
	t.Parallel()
	whole := entered(t, inCeremony(2), "a", "b").Combined([]byte("sealed"), "D1E491")
	require.Equal(t, 128, whole.Size)
	for _, p := range whole.Ceremony.Parts {
		require.Empty(t, p.Wrapped, "a component is not kept longer than it takes")
		require.NotEmpty(t, p.CheckValue)
	}
	once, err := whole.Confirmed("b", "D1E491", noonOfKeys)
	require.NoError(t, err)
	require.False(t, once.Approved())
	for _, test := range []struct {
		name, custodian, checkValue string
		key                         pin.ZoneKey
		at                          time.Time
		code                        pin.Code
	}{
		{"who entered nothing", "c", "D1E491", once, noonOfKeys, pin.Forbidden},
		{"who has confirmed", "b", "D1E491", once, noonOfKeys, pin.Conflict},
		{"another check value", "a", "D1E492", once, noonOfKeys, pin.InvalidField},
		{"none", "a", "", once, noonOfKeys, pin.InvalidField},
		{"too late", "a", "D1E491", once, noonOfKeys.Add(time.Hour), pin.Conflict},
		{"before all are there", "a", "", entered(t, inCeremony(2), "a"), noonOfKeys, pin.Conflict},
	} {
		_, err := test.key.Confirmed(test.custodian, test.checkValue, test.at)
		require.Equal(t, test.code, pin.CodeOf(err), test.name)
	}
	_, err = once.Activated(noonOfKeys)
	require.ErrorIs(t, err, pin.KeyStateForbids, "nobody puts it to use before that")
	all, err := once.Confirmed("a", "D1E491", noonOfKeys)
	require.NoError(t, err)
	require.True(t, all.Approved())
	active, err := all.Activated(noonOfKeys)
	require.NoError(t, err)
	require.Equal(t, pin.KeyActive, active.State)

	aborted, err := entered(t, inCeremony(2), "a").Destroyed(noonOfKeys)
	require.NoError(t, err)
	require.Empty(t, aborted.Ceremony.Parts[0].Wrapped, "what was entered goes with it")
}
