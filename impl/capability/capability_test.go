package capability

import (
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ways are two contracts that unblock, one of them in two ways, and one that verifies.
var ways = []Way{
	{Contract: "fax", Operation: Unblock, Scopes: []string{"pins:write"}, Needs: []string{"usable"}, By: [][]string{{"number", "institutionCode"}}},
	{Contract: "fax", Operation: Unblock, Scopes: []string{"pins:write"}, Needs: []string{"usable"}, By: [][]string{{"identifier"}, {"pan"}}},
	{Contract: "own", Operation: Unblock, Scopes: []string{"pins:write"}, Needs: []string{"operable"}},
	{Contract: "own", Operation: Verify, Scopes: []string{"pins:verify"}, Needs: []string{"operable", "pin", "tries"}},
}

func TestWhatCanBeDone(t *testing.T) {
	t.Parallel()
	fax := pin.Client{ID: "f", ProgramID: "p", Contract: "fax", Scopes: []string{"pins:write"}}
	own := pin.Client{ID: "o", Contract: "own", Scopes: []string{"pins:write", "pins:verify"}}
	for name, c := range map[string]struct {
		change  func(r *pin.Record)
		clients []pin.Client
		want    map[string][]Reason // of unblock, by contract
		verify  []Reason
		step    Step // of unblock
	}{
		"a healthy card": {func(*pin.Record) {}, []pin.Client{fax, own}, map[string][]Reason{"fax": nil, "own": nil}, nil, AskUnblock},
		"a card that only the one contract can name": {func(r *pin.Record) { r.Card.PANIndex = "" }, []pin.Client{fax, own},
			map[string][]Reason{"fax": {NoReference}, "own": nil}, nil, AskUnblock},
		"one that both of several references name": {func(r *pin.Record) {
			r.Card.PANIndex, r.Card.InstitutionCode, r.Card.References = "", "i", []pin.Reference{{Kind: pin.KindNumber, Value: "1"}}
		}, []pin.Client{fax, own}, map[string][]Reason{"fax": nil, "own": nil}, nil, AskUnblock},
		"nobody's":                        {func(*pin.Record) {}, nil, map[string][]Reason{"fax": {NoClient}, "own": {NoClient}}, []Reason{NoClient}, ContactIssuer},
		"another program's client's":      {func(r *pin.Record) { r.Card.ProgramID = "q" }, []pin.Client{fax, own}, map[string][]Reason{"fax": {NoClient}, "own": nil}, nil, AskUnblock},
		"a revoked client's":              {func(*pin.Record) {}, []pin.Client{{ID: "f", ProgramID: "p", Contract: "fax", Scopes: fax.Scopes, RevokedAt: now}, own}, map[string][]Reason{"fax": {NoClient}, "own": nil}, nil, AskUnblock},
		"a client's without the scope":    {func(*pin.Record) {}, []pin.Client{fax, {ID: "o", Contract: "own", Scopes: []string{"pins:write"}}}, map[string][]Reason{"fax": nil, "own": nil}, []Reason{NoClient}, AskUnblock},
		"a lost card":                     {func(r *pin.Record) { r.Card.Status = pin.StatusLost }, []pin.Client{fax, own}, map[string][]Reason{"fax": {CardStatus}, "own": {CardStatus}}, []Reason{CardStatus}, ContactIssuer},
		"one that waits for another card": {func(r *pin.Record) { r.Card.Status = pin.StatusUpgrade }, []pin.Client{fax, own}, map[string][]Reason{"fax": {CardStatus}, "own": nil}, nil, AskUnblock},
		"a blocked PIN":                   {func(r *pin.Record) { r.PIN.TriesLeft = 0 }, []pin.Client{fax, own}, map[string][]Reason{"fax": nil, "own": nil}, []Reason{Blocked}, AskUnblock},
		"no PIN":                          {func(r *pin.Record) { r.PIN.State = pin.PINNone }, []pin.Client{fax, own}, map[string][]Reason{"fax": nil, "own": nil}, []Reason{NoPIN}, AskUnblock},
		"a program that asks": {func(r *pin.Record) { r.Program.DualUnblock = true }, []pin.Client{fax, own},
			map[string][]Reason{"fax": {ApprovalNeeded}, "own": {ApprovalNeeded}}, nil, AwaitApproval},
		"one that has approved": {func(r *pin.Record) {
			r.Program.DualUnblock = true
			r.PIN.Pledges = []pin.Pledge{{Action: pin.ApproveUnblock, ClientID: "f", Granted: true, ExpiresAt: now.Add(1)}}
		}, []pin.Client{fax, own}, map[string][]Reason{"fax": nil, "own": {ApprovalNeeded}}, nil, AskUnblock},
		"one that has approved too long ago": {func(r *pin.Record) {
			r.Program.DualUnblock = true
			r.PIN.Pledges = []pin.Pledge{{Action: pin.ApproveUnblock, ClientID: "f", Granted: true, ExpiresAt: now}}
		}, []pin.Client{fax, own}, map[string][]Reason{"fax": {ApprovalNeeded}, "own": {ApprovalNeeded}}, nil, AwaitApproval},
		"one that was unblocked less often than it may": {func(r *pin.Record) { r.PIN.Unblocked = ago(time.Hour) }, []pin.Client{fax, own},
			map[string][]Reason{"fax": nil, "own": nil}, nil, AskUnblock},
		"one that was unblocked as often": {func(r *pin.Record) { r.PIN.Unblocked = ago(23*time.Hour, time.Hour) }, []pin.Client{fax, own},
			map[string][]Reason{"fax": {UnblocksUsedUp}, "own": {UnblocksUsedUp}}, nil, AskLater},
		"one that was unblocked as often until a day ago": {func(r *pin.Record) { r.PIN.Unblocked = ago(24*time.Hour, time.Hour) }, []pin.Client{fax, own},
			map[string][]Reason{"fax": nil, "own": nil}, nil, AskUnblock},
		"one that a client may unblock more often": {func(r *pin.Record) { r.PIN.Unblocked = ago(23*time.Hour, time.Hour) },
			[]pin.Client{fax, {ID: "o", Contract: "own", Scopes: own.Scopes, Limits: pin.Limits{pin.LimitUnblocks: 3}}}, map[string][]Reason{"fax": {UnblocksUsedUp}, "own": nil}, nil, AskUnblock},
		"one that a client may unblock as often as it likes": {func(r *pin.Record) { r.PIN.Unblocked = ago(23*time.Hour, time.Hour) },
			[]pin.Client{fax, {ID: "o", Contract: "own", Scopes: own.Scopes, Limits: pin.Limits{pin.LimitUnblocks: 0}}}, map[string][]Reason{"fax": {UnblocksUsedUp}, "own": nil}, nil, AskUnblock},
		"one that was unblocked as often, in a program that asks": {func(r *pin.Record) {
			r.Program.DualUnblock, r.PIN.Unblocked = true, ago(23*time.Hour, time.Hour)
		}, []pin.Client{fax, own}, map[string][]Reason{"fax": {UnblocksUsedUp, ApprovalNeeded}, "own": {UnblocksUsedUp, ApprovalNeeded}}, nil, AskLater},
		"nobody's, unblocked as often": {func(r *pin.Record) { r.PIN.Unblocked = ago(23*time.Hour, time.Hour) }, nil,
			map[string][]Reason{"fax": {NoClient, UnblocksUsedUp}, "own": {NoClient, UnblocksUsedUp}}, []Reason{NoClient}, ContactIssuer},
		"one that a client may unblock and another has the approval of": {func(r *pin.Record) {
			r.Program.DualUnblock, r.PIN.Unblocked = true, ago(23*time.Hour, time.Hour)
			r.PIN.Pledges = []pin.Pledge{{Action: pin.ApproveUnblock, ClientID: "f", Granted: true, ExpiresAt: now.Add(1)}}
		}, []pin.Client{fax, {ID: "g", ProgramID: "p", Contract: "fax", Scopes: fax.Scopes, Limits: pin.Limits{pin.LimitUnblocks: 3}}},
			map[string][]Reason{"fax": {ApprovalNeeded}, "own": {NoClient, UnblocksUsedUp, ApprovalNeeded}}, []Reason{NoClient}, AwaitApproval},
	} {
		rec := pin.Record{Card: pin.Card{ID: "c", ProgramID: "p", Status: pin.StatusNormal, PANIndex: "x"}, Program: pin.Program{ID: "p", TryLimit: 3},
			PIN: pin.Value{State: pin.PINChosen, TriesLeft: 3}}
		c.change(&rec)
		got := map[Operation]Capability{}
		for i, one := range Of(rec, c.clients, pin.Limits{pin.LimitUnblocks: 2}, ways, now) {
			require.Equal(t, Operations[i], one.Operation)
			got[one.Operation] = one
		}
		reasons := map[string][]Reason{}
		for _, through := range got[Unblock].Through {
			reasons[through.Contract] = through.Reasons
		}
		require.Equal(t, c.want, reasons, name)
		require.Equal(t, c.step, got[Unblock].Step, name)
		require.Equal(t, []Through{{Contract: "own", Reasons: c.verify}}, got[Verify].Through, name)
		require.Equal(t, c.verify == nil, got[Verify].Possible(), name)
		require.Empty(t, got[Reveal].Through)
		require.Equal(t, ContactIssuer, got[Reveal].Step, "no contract does it")
	}
}

// ago are times of unblocks, as a card keeps them.
func ago(all ...time.Duration) (at []int64) {
	for _, d := range all {
		at = append(at, now.Add(-d).UnixMicro())
	}
	return at
}

// When there is room for an unblock again is known to the microsecond: of several clients by the one that may first.
func TestItIsForetoldWhenACardCanBeUnblockedAgain(t *testing.T) {
	t.Parallel()
	client := func(id string, limit int64) pin.Client {
		return pin.Client{ID: id, ProgramID: "p", Contract: "own", Scopes: []string{"pins:write"}, Limits: pin.Limits{pin.LimitUnblocks: limit}}
	}
	rec := pin.Record{Card: pin.Card{ID: "c", ProgramID: "p", Status: pin.StatusNormal}, Program: pin.Program{ID: "p", TryLimit: 3},
		PIN: pin.Value{State: pin.PINChosen, TriesLeft: 3, Unblocked: ago(23*time.Hour, 22*time.Hour, time.Hour)}}
	for name, c := range map[string]struct {
		clients []pin.Client
		want    time.Time
	}{
		"by the oldest of as many unblocks as there may be": {[]pin.Client{client("a", 3)}, now.Add(time.Hour)},
		"where fewer may be, by a later one":                {[]pin.Client{client("a", 2)}, now.Add(2 * time.Hour)},
		"by the client that may first":                      {[]pin.Client{client("a", 1), client("b", 2), client("c", 1)}, now.Add(2 * time.Hour)},
		"never where one may now":                           {[]pin.Client{client("a", 1), client("b", 4)}, time.Time{}},
	} {
		at := func(now time.Time) Through {
			return Of(rec, c.clients, nil, ways, now)[slices.Index(Operations, Unblock)].Through[1]
		}
		require.Equal(t, c.want, at(now.Add(1)).AgainAt, name)
		if !c.want.IsZero() {
			require.Equal(t, []Reason{UnblocksUsedUp}, at(c.want.Add(-1)).Reasons, name)
			require.Equal(t, Through{Contract: "own"}, at(c.want), name)
		}
	}
}

func TestWaysAreRefusedThatNobodyUnderstands(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"{operation: unblock, needs: [operable], by: [[urn]]}": "",
		"{operation: destroy}":                                 "there is no operation",
		"{operation: unblock, needs: [luck]}":                  "there is no need",
	} {
		document := `{openapi: 3.0.3, info: {title: x, version: '1'}, x-prefixes: [/x], paths: {/x: {get: {operationId: w, security: [], x-public: x, responses: {'204': {description: x}}}}, /x/x: {get: {operationId: x, x-capability: ` + said + `, security: [], x-public: x, responses: {'204': {description: x}}}}}}`
		d, err := contract.Load(fstest.MapFS{"x.yaml": {Data: []byte(document)}}, "x")
		require.NoError(t, err)
		found, err := Ways(map[string]*contract.Document{"x": d})
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []Way{{Contract: "x", Operation: Unblock, Needs: []string{"operable"}, By: [][]string{{"urn"}}}}, found)
	}
}

func TestOfTheWaysOfAContractTheOneCountsThatLeastStandsInTheWayOf(t *testing.T) {
	t.Parallel()
	all := best(nil, Through{Contract: "fax", Reasons: []Reason{CardStatus, Blocked}})
	all = best(all, Through{Contract: "fax", Reasons: []Reason{Blocked}})
	require.Equal(t, []Through{{Contract: "fax", Reasons: []Reason{Blocked}}}, all)
	all = best(all, Through{Contract: "fax", Reasons: []Reason{NoPIN}})
	require.Equal(t, []Through{{Contract: "fax", Reasons: []Reason{Blocked}}}, all, "of two with as many the first")
	all = best(all, Through{Contract: "own", Reasons: []Reason{NoPIN, Blocked}})
	require.Equal(t, []Through{{Contract: "fax", Reasons: []Reason{Blocked}}, {Contract: "own", Reasons: []Reason{NoPIN, Blocked}}}, all, "another contract's is another one")
}

func TestWhatTheCardholderMustDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		ways []Through
		want Step
	}{
		{"nothing, where no contract does it", nil, ContactIssuer},
		{"it, where one of two does", []Through{{Contract: "fax", Reasons: []Reason{Blocked}}, {Contract: "own"}}, EnterPIN},
		{"by the contract where the fewest reasons stand in the way", []Through{{Contract: "fax", Reasons: []Reason{NoPIN, Blocked}}, {Contract: "own", Reasons: []Reason{Blocked}}}, PINBlocked},
		{"wherever it stands", []Through{{Contract: "fax", Reasons: []Reason{Blocked}}, {Contract: "own", Reasons: []Reason{NoPIN, Blocked}}}, PINBlocked},
		{"by the first of two with as many", []Through{{Contract: "fax", Reasons: []Reason{Blocked}}, {Contract: "own", Reasons: []Reason{NoPIN}}}, PINBlocked},
		{"of several reasons the first that one can do something about", []Through{{Contract: "fax", Reasons: []Reason{RetrievalOff, ApprovalNeeded, Blocked}}}, AwaitApproval},
		{"choose a PIN where there is none", []Through{{Contract: "fax", Reasons: []Reason{NoPIN}}}, ChoosePIN},
		{"change the PIN that was chosen", []Through{{Contract: "fax", Reasons: []Reason{PINChosen}}}, ChangePIN},
		{"ask the issuer about a status, whatever else there is", []Through{{Contract: "fax", Reasons: []Reason{CardStatus, Blocked}}}, ContactIssuer},
		{"where nobody may do it", []Through{{Contract: "fax", Reasons: []Reason{NoClient, Blocked}}}, ContactIssuer},
		{"where nobody can name the card", []Through{{Contract: "fax", Reasons: []Reason{NoReference, Blocked}}}, ContactIssuer},
		{"where it is none of these", []Through{{Contract: "fax", Reasons: []Reason{RetrievalOff}}}, ContactIssuer},
	} {
		require.Equal(t, test.want, next(Capability{Operation: Verify, Through: test.ways}), test.name)
	}
}

func TestWhatIsNeededOfACard(t *testing.T) {
	t.Parallel()
	kept := func(r *pin.Record) { r.Program.RetrievalAllowed, r.PIN.Ciphertext = true, []byte("c") }
	for _, test := range []struct {
		need   string
		change func(r *pin.Record)
		want   Reason
	}{
		{"operable", func(*pin.Record) {}, ""},
		{"operable", func(r *pin.Record) { r.Card.Status = pin.StatusUpgrade }, ""},
		{"operable", func(r *pin.Record) { r.Card.Status = pin.StatusLost }, CardStatus},
		{"usable", func(*pin.Record) {}, ""},
		{"usable", func(r *pin.Record) { r.Card.Status = pin.StatusUpgrade }, CardStatus},
		{"unchosen", func(*pin.Record) {}, PINChosen},
		{"unchosen", func(r *pin.Record) { r.PIN.State = pin.PINAssigned }, ""},
		{"unchosen", func(r *pin.Record) { r.PIN.State = pin.PINNone }, ""},
		{"pin", func(*pin.Record) {}, ""},
		{"pin", func(r *pin.Record) { r.PIN.State = pin.PINNone }, NoPIN},
		{"tries", func(*pin.Record) {}, ""},
		{"tries", func(r *pin.Record) { r.PIN.TriesLeft = 0 }, Blocked},
		{"kept", kept, ""},
		{"kept", func(*pin.Record) {}, RetrievalOff},
		{"kept", func(r *pin.Record) { kept(r); r.PIN.State = pin.PINNone }, NoPIN},
	} {
		rec := pin.Record{Card: pin.Card{Status: pin.StatusNormal}, Program: pin.Program{TryLimit: 3}, PIN: pin.Value{State: pin.PINChosen, TriesLeft: 3}}
		test.change(&rec)
		require.Equal(t, test.want, needs[test.need](rec), "%s of %+v", test.need, rec)
	}
}

func TestACardIsNamedByEachOfItsAttributes(t *testing.T) {
	t.Parallel()
	named := map[string]pin.Card{
		"pan": {PANIndex: "x"}, "expiry": {Expiry: "x"},
		"customerId": {Attributes: pin.Attributes{CustomerID: "x"}}, "mobileNumber": {Attributes: pin.Attributes{MobileNumber: "x"}},
		"institutionCode": {Attributes: pin.Attributes{InstitutionCode: "x"}}, "devicePlanCode": {Attributes: pin.Attributes{DevicePlanCode: "x"}},
		"cardholderId": {Attributes: pin.Attributes{CardholderID: "x"}}, "walletId": {Attributes: pin.Attributes{WalletID: "x"}},
	}
	require.Len(t, named, len(attributes))
	for by := range attributes {
		for of, card := range named {
			require.Equal(t, by == of, Way{By: [][]string{{by}}}.names(card), "a card with %s by its %s", of, by)
		}
	}
	require.True(t, Way{}.names(pin.Card{}), "by its id")
}
