package pin_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

func TestWrongPINsUseUpTheTriesAndARightOneRestoresThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, step := range []struct {
		digits    string
		result    pin.Result
		remaining int
	}{
		{"1111", pin.Mismatch, 2}, {"4826", pin.Match, 3}, {"1111", pin.Mismatch, 2}, {"48260", pin.Mismatch, 1}, {"482", "", 1},
		{"2222", pin.Mismatch, 0}, {"4826", pin.Exhausted, 0}, {"1111", pin.Exhausted, 0},
	} {
		if step.result == "" {
			continue
		}
		require.Equal(t, pin.Verification{Result: step.result, RemainingTries: step.remaining}, w.try(t, step.digits), step.digits)
		require.Equal(t, step.remaining, w.remaining(t))
	}
	require.NoError(t, w.Unblock(by(t), w.q, pin.Memo{Description: "identified"}))
	require.Equal(t, pin.Verification{Result: pin.Match, RemainingTries: 3}, w.try(t, "4826"))
}

func TestBlocksAreOpenedOnlyWhenATryWasTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verify := func(o pin.Offer) (pin.Verification, error) { return w.Verify(by(t), w.q, o, pin.Memo{}) }
	v, err := verify(block(t, "4826"))
	require.NoError(t, err)
	require.Equal(t, pin.Verification{Result: pin.Match, RemainingTries: 3}, v)
	_, err = verify(pin.Encrypted("nobody", pinblock.ISO0, make([]byte, 8)))
	require.Equal(t, pin.UnknownKey, pin.CodeOf(err))
	require.Equal(t, 3, w.remaining(t), "an unknown key takes no try")
	v, err = verify(closed())
	require.NoError(t, err)
	require.Equal(t, pin.Verification{Result: pin.Opaque, RemainingTries: 2}, v)
	for name, unfit := range map[string]pin.Offer{
		"a format that the key does not carry": pin.Encrypted("zpk", pinblock.ISO4, make([]byte, 16)),
		"a block of another size":              pin.Encrypted("zpk", pinblock.ISO0, make([]byte, 3)),
	} {
		_, err = verify(unfit)
		require.Equal(t, pin.UnfitBlock, pin.CodeOf(err), name)
		require.Equal(t, 2, w.remaining(t), "%s takes no try", name)
	}
	for _, left := range []int{1, 0} {
		v, err = verify(closed())
		require.NoError(t, err)
		require.Equal(t, pin.Verification{Result: pin.Opaque, RemainingTries: left}, v)
	}
	v, err = verify(block(t, "4826"))
	require.NoError(t, err)
	require.Equal(t, pin.Verification{Result: pin.Exhausted}, v)
}

func TestSetPINLeavesTheCounterAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.try(t, "1111")
	require.NoError(t, w.SetPIN(by(t), w.q, plain(t, "9173"), pin.Memo{}))
	require.Equal(t, 2, w.remaining(t))
	require.Equal(t, pin.Mismatch, w.try(t, "4826").Result, "the old PIN")
	require.Equal(t, pin.Match, w.try(t, "9173").Result)
	read, err := w.RevealPIN(by(t), w.q)
	require.NoError(t, err)
	require.Equal(t, "9173", string(read.Digits()))
	require.NoError(t, w.SetPIN(by(t), w.q, block(t, "5081"), pin.Memo{}))
	require.Equal(t, pin.Match, w.try(t, "5081").Result)
	require.Equal(t, pin.Unopenable, pin.CodeOf(w.SetPIN(by(t), w.q, closed(), pin.Memo{})))
	require.Equal(t, pin.Match, w.try(t, "5081").Result)
}

func TestChangePINIsOneStep(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		old, chosen pin.Offer
		want        pin.Verification
		stands      string // the PIN afterwards
	}{
		{"right old PIN", block(t, "4826"), block(t, "5081"), pin.Verification{Result: pin.Match, RemainingTries: 3}, "5081"},
		{"wrong old PIN takes a try", block(t, "1111"), block(t, "5081"), pin.Verification{Result: pin.Mismatch, RemainingTries: 1}, "4826"},
		{"weak new PIN gives the tries back", block(t, "4826"), block(t, "1234"), pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.WeakPIN}, "4826"},
		{"too long a new PIN", block(t, "4826"), block(t, "50816273"), pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.PINLength}, "4826"},
		{"new PIN that does not open", block(t, "4826"), closed(), pin.Verification{Result: pin.Opaque, RemainingTries: 3}, "4826"},
		{"old PIN that does not open", closed(), block(t, "5081"), pin.Verification{Result: pin.Opaque, RemainingTries: 1}, "4826"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.try(t, "0000") // so that a restored counter shows
			v, err := w.ChangePIN(by(t), w.q, test.old, test.chosen, pin.Memo{})
			require.NoError(t, err)
			require.Equal(t, test.want, v)
			require.Equal(t, test.want.RemainingTries, w.remaining(t))
			require.Equal(t, pin.Match, w.try(t, test.stands).Result)
		})
	}
}

// Of many changes with the right old PIN exactly one wins. All others come after it, with a PIN that is the
// old one by then: as many as there are tries are told so, the rest that the card is blocked.
func TestParallelChangesHaveOneWinner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const callers = 30
	results := make(chan pin.Verification, callers)
	old := plain(t, right)
	var all sync.WaitGroup
	for i := range callers {
		chosen := of(t, "50"+string(rune('0'+i/10))+string(rune('0'+i%10))+"93")
		all.Go(func() {
			v, err := w.ChangePIN(anybody(), w.q, old, pin.Plain(chosen), pin.Memo{})
			if err == nil {
				results <- v
			}
		})
	}
	all.Wait()
	close(results)
	count := map[pin.Verification]int{}
	for v := range results {
		count[v]++
	}
	require.Equal(t, map[pin.Verification]int{
		{Result: pin.Match, RemainingTries: 3}:    1,
		{Result: pin.Mismatch, RemainingTries: 2}: 1,
		{Result: pin.Mismatch, RemainingTries: 1}: 1,
		{Result: pin.Mismatch, RemainingTries: 0}: 1,
		{Result: pin.Exhausted}:                   callers - 4,
	}, count)
	require.Zero(t, w.remaining(t))
	w.agree(t)
}

func TestPolicyRefusesWhatAThiefTriesFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy pin.Policy
		digits string
		want   pin.Code
	}{
		{pin.PolicyOff, "0000", ""}, {pin.PolicyOff, "1234", ""},
		{pin.PolicyWeakList, "0000", pin.WeakPIN}, {pin.PolicyWeakList, "1234", pin.WeakPIN}, {pin.PolicyWeakList, "8901", pin.WeakPIN},
		{pin.PolicyWeakList, "4321", pin.WeakPIN}, {pin.PolicyWeakList, "1212", pin.WeakPIN}, {pin.PolicyWeakList, "123123", pin.WeakPIN},
		{pin.PolicyWeakList, "2580", pin.WeakPIN}, {pin.PolicyWeakList, "1984", pin.WeakPIN}, {pin.PolicyWeakList, "4827", ""},
		{pin.PolicyWeakList, "123", pin.InvalidPIN}, {pin.PolicyWeakList, "4827391", pin.PINLength},
		{pin.PolicyHistory, "1234", pin.WeakPIN}, {pin.PolicyHistory, "4826", pin.RecentPIN}, {pin.PolicyHistory, "9173", ""},
	} {
		t.Run(string(test.policy)+" "+test.digits, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(p *pin.Program) { p.Policy = test.policy })
			p, err := pin.New([]byte(test.digits))
			if err == nil {
				err = w.SetPIN(by(t), w.q, pin.Plain(p), pin.Memo{})
			}
			require.Equal(t, test.want, pin.CodeOf(err))
		})
	}
}

func TestHistoryRemembersTheLastFour(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *pin.Program) { p.Policy = pin.PolicyHistory })
	set := func(digits string) pin.Code {
		return pin.CodeOf(w.SetPIN(by(t), w.q, plain(t, digits), pin.Memo{}))
	}
	former := []string{right, "5081", "7392", "6140", "9173"}
	for i, next := range former[1:] {
		require.Empty(t, set(next))
		for _, old := range former[:i+2] {
			require.Equal(t, pin.RecentPIN, set(old), "number %d of those before number %d", i, i+1)
		}
	}
	require.Empty(t, set("3058"))
	require.Empty(t, set(right), "the fifth one back is forgotten")
	refused := 0
	for _, text := range w.told(t, w.card.ID) {
		if text == "pin.refused recent_pin" {
			refused++
		}
	}
	require.Equal(t, 2+3+4+5, refused, "each refusal is in the trail")
}

func TestCardsOutOfServiceAllowNoPINOperation(t *testing.T) {
	t.Parallel()
	for status, allowed := range map[pin.Status]bool{
		pin.StatusNormal: true, pin.StatusUpgrade: true, pin.StatusInvalid: false, pin.StatusLost: false,
		pin.StatusStolen: false, pin.StatusRestricted: false, pin.StatusClosed: false,
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, err := w.UpdateCard(by(t), w.q, func(c *pin.Card) error { c.Status = status; return nil }, pin.Memo{})
			require.NoError(t, err)
			_, verify := w.Verify(by(t), w.q, plain(t, "4826"), pin.Memo{})
			_, change := w.ChangePIN(by(t), w.q, plain(t, "4826"), plain(t, "5081"), pin.Memo{})
			_, reveal := w.RevealPIN(by(t), w.q)
			for what, err := range map[string]error{
				"verify": verify, "change": change, "reveal": reveal, "unblock": w.Unblock(by(t), w.q, pin.Memo{}),
				"set": w.SetPIN(by(t), w.q, plain(t, "9173"), pin.Memo{}),
			} {
				if allowed {
					require.NoError(t, err, what)
				} else {
					require.Equal(t, pin.CardStatus, pin.CodeOf(err), what)
				}
			}
		})
	}
}

func TestAliasesCountUsableCardsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	byAlias := pin.Query{ProgramID: w.program.ID, References: []pin.Reference{{Kind: pin.KindAlias, Value: "A"}}}
	twin, err := w.CreateCard(by(t), pin.NewCard{ProgramID: w.program.ID, References: []pin.Reference{{Kind: pin.KindAlias, Value: "A"}},
		Attributes: pin.Attributes{DevicePlanCode: "P2"}}, pin.Memo{})
	require.NoError(t, err)
	_, err = w.Card(by(t), byAlias)
	require.Equal(t, pin.Ambiguous, pin.CodeOf(err))
	narrowed := byAlias
	narrowed.DevicePlanCode = "P2"
	rec, err := w.Card(by(t), narrowed)
	require.NoError(t, err)
	require.Equal(t, twin.ID, rec.Card.ID)
	for _, step := range []struct {
		status  pin.Status
		upgrade int
		want    pin.Code
	}{{pin.StatusUpgrade, 0, ""}, {pin.StatusUpgrade, 1, pin.Ambiguous}, {pin.StatusLost, 0, ""}} {
		_, err = w.UpdateCard(by(t), pin.Query{CardID: twin.ID}, func(c *pin.Card) error { c.Status, c.UpgradeStatus = step.status, step.upgrade; return nil }, pin.Memo{})
		require.NoError(t, err)
		rec, err = w.Card(by(t), byAlias)
		require.Equal(t, step.want, pin.CodeOf(err), "%+v", step)
		if err == nil {
			require.Equal(t, w.card.ID, rec.Card.ID)
		}
	}
}

func TestCallersReachTheirProgramOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := pin.WithCaller(by(t), pin.Caller{ClientID: "x", ProgramID: "other"})
	_, err := w.Card(stranger, w.q)
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	_, err = w.Card(stranger, pin.Query{CardID: w.card.ID, ProgramID: w.program.ID})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	require.Equal(t, pin.NotFound, pin.CodeOf(w.SetPIN(stranger, w.q, plain(t, "9173"), pin.Memo{})))
	_, err = w.Program(stranger, w.program.ID)
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	_, err = w.CreateProgram(stranger, pin.NewProgram("mine"), pin.Memo{})
	require.Equal(t, pin.Forbidden, pin.CodeOf(err))
	_, _, err = w.CreateClient(stranger, pin.Client{ProgramID: w.program.ID, Contract: "thredd"}, "", pin.Memo{})
	require.Equal(t, pin.Forbidden, pin.CodeOf(err))
	_, _, err = w.CreateClient(pin.WithCaller(by(t), pin.Caller{Contract: "issuer", Scopes: []string{"clients:write"}}),
		pin.Client{Contract: "issuer", Scopes: []string{"pins:verify"}}, "", pin.Memo{})
	require.Equal(t, pin.Forbidden, pin.CodeOf(err), "nobody grants more than it has")
	events, err := w.AuditEvents(stranger, pin.AuditQuery{Page: pin.Page{Limit: 10}})
	require.NoError(t, err)
	require.Empty(t, events)
}

func TestRetrievalIsTheProgramsChoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = false; return nil }, pin.Memo{})
	require.NoError(t, err)
	_, err = w.RevealPIN(by(t), w.q)
	require.Equal(t, pin.RetrievalOff, pin.CodeOf(err))
	rec, err := w.Card(by(t), w.q)
	require.NoError(t, err)
	require.Empty(t, rec.PIN.Ciphertext, "forgotten at once")
	_, err = w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = true; return nil }, pin.Memo{})
	require.NoError(t, err)
	_, err = w.RevealPIN(by(t), w.q)
	require.Equal(t, pin.RetrievalOff, pin.CodeOf(err), "what was forgotten stays forgotten")
	require.Equal(t, pin.Match, w.try(t, "4826").Result, "verification needs no retrieval")
}

func TestRotatedSecretOverlapsAndRevokedClientsAreOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, first, err := w.CreateClient(by(t), pin.Client{ProgramID: w.program.ID, Contract: "thredd", Name: "x"}, "", pin.Memo{})
	require.NoError(t, err)
	_, second, err := w.RotateClient(by(t), c.ID, time.Hour, pin.Memo{})
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	who := func(secret string) pin.Code {
		_, err := w.Authenticate(by(t), c.ID, secret)
		return pin.CodeOf(err)
	}
	require.Empty(t, who(first))
	require.Empty(t, who(second))
	require.Equal(t, pin.Unauthorized, who(first+"x"))
	w.later(time.Hour - time.Microsecond)
	require.Empty(t, who(first))
	w.later(time.Microsecond)
	require.Equal(t, pin.Unauthorized, who(first), "the overlap is over")
	require.Empty(t, who(second))
	require.NoError(t, w.RevokeClient(by(t), c.ID, pin.Memo{}))
	require.Equal(t, pin.Unauthorized, who(second))
	_, err = w.Authenticate(by(t), c.ID, second)
	require.Equal(t, c.ID, pin.ClientOf(err), "the log can say whose secret it was")
	_, err = w.Authenticate(by(t), "nobody", second)
	require.Equal(t, pin.Unauthorized, pin.CodeOf(err))
	require.Empty(t, pin.ClientOf(err), "what names nobody may be anything")
}

// What the trail tells of a card, by whom, and without what could be a PAN.
func TestTheTrailTellsWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	caller := pin.Caller{ClientID: "c", Everywhere: true, Contract: "issuer", RemoteAddr: "192.0.2.1", TraceID: "t"}
	ctx := pin.WithCaller(by(t), caller)
	require.NoError(t, w.SetPIN(ctx, w.q, plain(t, another), pin.Memo{Description: "card 9999 9900 0000 0014 at the branch", UpdatedBy: "John Smith 999999000014"}))
	for range 4 {
		w.try(t, wrong)
	}
	require.NoError(t, w.Unblock(ctx, w.q, pin.Memo{}))
	require.Equal(t, []string{"card.created", "pin.set", "pin.failed mismatch", "pin.failed mismatch", "pin.failed mismatch",
		"pin.blocked mismatch", "pin.failed blocked", "pin.unblocked"}, w.told(t, w.card.ID))
	events := w.events(t, w.card.ID)
	set := events[1]
	require.Equal(t, "card ******************* at the branch", set.Description, "a PAN in free text is masked")
	require.Equal(t, "John Smith ************", set.UpdatedBy)
	by := pin.Caller{ClientID: set.ClientID, Everywhere: true, Contract: set.Contract, RemoteAddr: set.RemoteAddr, TraceID: set.TraceID}
	require.Equal(t, caller, by)
	require.Equal(t, w.clock(), set.At)
	for i, e := range events {
		require.Equal(t, w.card.ID, e.CardID)
		require.Equal(t, w.card.ID, e.Chain)
		require.Equal(t, w.program.ID, e.ProgramID)
		require.Equal(t, int64(i+1), e.Seq)
	}
	w.agree(t)
}

// The counter of any sequence of guesses is that of a model: three wrong ones in a row block.
func TestCounterFollowsTheModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		require.NoError(r, w.Unblock(anybody(), w.q, pin.Memo{}))
		left := 3
		for _, act := range rapid.SliceOfN(rapid.SampledFrom([]string{"right", "wrong", "wrong", "unblock"}), 0, 6).Draw(r, "acts") {
			switch {
			case act == "unblock":
				require.NoError(r, w.Unblock(anybody(), w.q, pin.Memo{}))
				left = 3
			case left == 0:
				require.Equal(r, pin.Exhausted, w.try(r, map[string]string{"right": "4826", "wrong": "1111"}[act]).Result)
			case act == "right":
				require.Equal(r, pin.Match, w.try(r, "4826").Result)
				left = 3
			default:
				require.Equal(r, pin.Mismatch, w.try(r, "1111").Result)
				left--
			}
			require.Equal(r, left, w.remaining(r))
		}
	})
}

func TestLoweredTryLimitCountsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.TryLimit = 1; return nil }, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, 1, w.remaining(t))
	require.Equal(t, pin.Verification{Result: pin.Mismatch}, w.try(t, "1111"))
	require.Equal(t, pin.Exhausted, w.try(t, "4826").Result)
}

func TestProgramSettingsThatContradictAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for field, set := range map[string]func(*pin.Program){
		"name": func(p *pin.Program) { p.Name = "" }, "minPinLength": func(p *pin.Program) { p.MinPINLength = 3 },
		"maxPinLength": func(p *pin.Program) { p.MinPINLength, p.MaxPINLength = 8, 6 }, "tryLimit": func(p *pin.Program) { p.TryLimit = 16 },
		"pinPolicy": func(p *pin.Program) { p.Policy = "strict" }, "timeZone": func(p *pin.Program) { p.TimeZone = "Local" },
	} {
		_, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { set(p); return nil }, pin.Memo{})
		require.Equal(t, pin.InvalidField, pin.CodeOf(err), field)
		require.Equal(t, field, pin.FieldOf(err))
	}
}
