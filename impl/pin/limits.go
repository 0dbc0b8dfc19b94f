package pin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limit names something that a client may do only so often, as the issuer's document does.
type Limit string

// The limits. Those without a window in their names are of a minute.
const (
	LimitRequests          Limit = "requestsPerMinute"
	LimitFailedLogins      Limit = "failedAuthenticationsPerMinute"
	LimitWrongSecureCodes  Limit = "wrongSecureCodesPerHour"
	LimitRefusedPINs       Limit = "refusedPinsPerMinute"
	LimitVerifications     Limit = "verificationsPerMinute"
	LimitVerificationsHour Limit = "verificationsPerHour"
	LimitUnblocks          Limit = "unblocksPerCardAndDay"  // 0..MaxUnblocks; of one card, by whomever
	LimitMismatchCards     Limit = "mismatchCardsPerMinute" // the alarm's: cards with a mismatch, of one client and BIN
	LimitMismatchShare     Limit = "mismatchSharePercent"   // the alarm's: of the verifications of one client and BIN
)

// MaxUnblocks is how many unblocks of a day a card remembers.
const MaxUnblocks = 20

// Limits are how often a client may do what; 0: as often as it likes. What they do not name is as the server's are. What
// they can be is in the issuer's document (ClientLimits).
type Limits map[Limit]int64

// defaults are the limits of production, where neither client nor server says more.
var defaults = Limits{
	LimitRequests:          60_000,
	LimitFailedLogins:      60,
	LimitWrongSecureCodes:  20,
	LimitRefusedPINs:       300,
	LimitVerifications:     30_000,
	LimitVerificationsHour: 1_200_000,
	LimitUnblocks:          5,
	LimitMismatchCards:     100,
	LimitMismatchShare:     25,
}

// DefaultLimits are the limits of production.
func DefaultLimits() Limits { return maps.Clone(defaults) }

// NamedLimits are limits as operators name them: one that there is not is an error that names all.
func NamedLimits(named map[string]int64) (Limits, error) {
	known := make([]string, 0, len(defaults))
	for limit := range defaults {
		known = append(known, string(limit))
	}
	slices.Sort(known)
	l := Limits{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no limit %q; there are %s", name, strings.Join(known, ", "))
		}
		l[Limit(name)] = named[name]
	}
	return l, nil
}

// Over are these limits, and those of others that these do not name.
func (l Limits) Over(others Limits) Limits {
	both := maps.Clone(others)
	if both == nil {
		both = Limits{}
	}
	maps.Copy(both, l)
	return both
}

// Halt is why a client's PIN verifications are refused until somebody releases it: the alarm's figures.
type Halt struct {
	At            time.Time `json:"at"`
	BIN           string    `json:"bin"`           // the first six digits of the cards' PANs
	Cards         int64     `json:"cards"`         // that had a mismatch in the minute
	Mismatches    int64     `json:"mismatches"`    // of the minute
	Verifications int64     `json:"verifications"` // of the minute
}

// MismatchCount is what is known of a client's verifications of one BIN in the minute under way.
type MismatchCount struct {
	BIN                              string
	Verifications, Mismatches, Cards int64
}

// Over tells whether a count is above the alarm's limits, of which 0 is none for the cards and turns the alarm off.
func (n MismatchCount) Over(l Limits) bool {
	cards := l[LimitMismatchCards]
	return cards > 0 && n.Cards > cards && n.Mismatches*100 > n.Verifications*l[LimitMismatchShare]
}

// Limiter counts what clients do, over all processes of a server. Errors are Unavailable: what cannot be counted is not
// done.
type Limiter interface {
	// Take counts one of a kind. A wait of more than zero is until the limit has room again: it was not counted.
	Take(ctx context.Context, kind Limit, whom string, limit int64) (wait time.Duration, err error)
	// Spent is that wait as far as this process knows it by itself.
	Spent(kind Limit, whom string, limit int64) (wait time.Duration)
	// Verified counts a verification of a client for its alarm, in memory.
	Verified(clientID, bin, cardID string, mismatch bool)
	// Mismatches brings together what processes have counted, where it is time, and tells what it comes to. cards is
	// the alarm's limit: the lower it is, the sooner.
	Mismatches(ctx context.Context, clientID string, cards int64) ([]MismatchCount, error)
	// Forget forgets what this process knows by itself.
	Forget()
}

// LimitBy has clients limited: by their own limits and, where they have none, by the server's. refused hears of each
// refusal. Until then nobody is.
func (v *Vault) LimitBy(l Limiter, server Limits, refused func(kind Limit, contract string)) {
	v.limiter, v.limits, v.overLimit = l, server, refused
}

// limited are the limits of whoever calls, and the client itself: none where clients are not limited, and for
// operators and the server itself. A client's limits that another process has changed count as they were for less than
// a second.
func (v *Vault) limited(ctx context.Context) (Limits, Client, error) {
	who := CallerFrom(ctx)
	if v.limiter == nil || who.Operator || who.ClientID == "" {
		return nil, Client{}, nil
	}
	c, err := v.recentClient(ctx, who.ClientID)
	if err != nil && CodeOf(err) != NotFound {
		return nil, Client{}, err
	}
	c.ID = who.ClientID
	return v.limitsOf(c), c, nil
}

func (v *Vault) limitsOf(c Client) Limits {
	if len(c.Limits) == 0 {
		return v.limits
	}
	return c.Limits.Over(v.limits)
}

// tooMany is the error of what must wait, nil where nothing must.
func (v *Vault) tooMany(ctx context.Context, kind Limit, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	v.overLimit(kind, CallerFrom(ctx).Contract)
	return &Error{Code: TooMany, Field: string(kind), Wait: wait}
}

// take counts one of a kind: TooMany.
func (v *Vault) take(ctx context.Context, kind Limit, whom string, limits Limits) error {
	if limits[kind] == 0 {
		return nil
	}
	wait, err := v.limiter.Take(ctx, kind, whom, limits[kind])
	if err != nil {
		return err
	}
	return v.tooMany(ctx, kind, wait)
}

// AdmitRequest counts a request of the caller's: TooMany, Unavailable.
func (v *Vault) AdmitRequest(ctx context.Context) error {
	limits, c, err := v.limited(ctx)
	if err != nil {
		return err
	}
	return v.take(ctx, LimitRequests, c.ID, limits)
}

// admitVerification counts a guess at a PIN: TooMany, and Halted for a client that the alarm has stopped, or stops now.
// What the minute refuses although the hour had room is lost for the hour: that is fewer, never more.
func (v *Vault) admitVerification(ctx context.Context) error {
	limits, c, err := v.limited(ctx)
	if err != nil {
		return err
	}
	if c.Halted != nil {
		v.overLimit(LimitMismatchCards, CallerFrom(ctx).Contract)
		return &Error{Code: Halted}
	}
	if err := v.heed(ctx, c.ID, limits); err != nil {
		return err
	}
	if limits[LimitVerifications] > 0 {
		if err := v.tooMany(ctx, LimitVerifications, v.limiter.Spent(LimitVerifications, c.ID, limits[LimitVerifications])); err != nil {
			return err
		}
	}
	if err := v.take(ctx, LimitVerificationsHour, c.ID, limits); err != nil {
		return err
	}
	return v.take(ctx, LimitVerifications, c.ID, limits)
}

// heed is Halted where the alarm goes off. It is asked before a guess and not after: what cannot be counted is not done,
// and what was done is answered.
func (v *Vault) heed(ctx context.Context, clientID string, limits Limits) error {
	if limits[LimitMismatchCards] == 0 {
		return nil
	}
	counts, err := v.limiter.Mismatches(ctx, clientID, limits[LimitMismatchCards])
	if err != nil {
		return err
	}
	for _, n := range counts {
		if !n.Over(limits) {
			continue
		}
		if err := v.halt(ctx, clientID, Halt{At: v.clock(), BIN: n.BIN, Cards: n.Cards, Mismatches: n.Mismatches, Verifications: n.Verifications}); err != nil {
			return err
		}
		v.overLimit(LimitMismatchCards, CallerFrom(ctx).Contract)
		return &Error{Code: Halted}
	}
	return nil
}

// verified tells the alarm how a guess at a PIN ended.
func (v *Vault) verified(ctx context.Context, rec Record, r Result) {
	limits, c, err := v.limited(ctx)
	mismatch := r == Mismatch || r == Opaque
	if err != nil || limits[LimitMismatchCards] == 0 || !mismatch && r != Match && r != Rejected {
		return
	}
	pan, _ := v.pan(rec.Card) // which was opened a moment ago
	v.limiter.Verified(c.ID, pan[:min(len(pan), binLength)], rec.Card.ID, mismatch)
}

// binLength is how many of a PAN's digits may be shown (PCI DSS 3.4.1).
const binLength = 6

// halt stops a client's verifications, once however many processes find that at the same time.
func (v *Vault) halt(ctx context.Context, id string, h Halt) error {
	ctx, cancel := ownTime(ctx)
	defer cancel()
	for {
		before, err := v.client(ctx, id)
		if CodeOf(err) == NotFound || err == nil && (!before.Active() || before.Halted != nil) {
			v.seen.drop(TableClients, id) // another process was faster
			v.changed()
			return nil
		}
		if err != nil {
			return err
		}
		c := before
		c.Halted, c.Version = &h, before.Version+1
		err = v.writeClientAs(ctx, EventClientHalted, c, []FieldChange{{Field: "bin", New: h.BIN}, {Field: "cards", New: strconv.FormatInt(h.Cards, 10)},
			{Field: "mismatches", New: strconv.FormatInt(h.Mismatches, 10)}, {Field: "verifications", New: strconv.FormatInt(h.Verifications, 10)}}, Memo{})
		if CodeOf(err) != Conflict || !pause(ctx) {
			return err
		}
	}
}

// ReleaseClient has a client's PIN verifications served again: NotFound, Conflict, and Forbidden for the client itself. One that
// was not halted stays as it is.
func (v *Vault) ReleaseClient(ctx context.Context, id string, m Memo) (Client, error) {
	before, err := reached(ctx)(v.client(ctx, id))
	if err != nil {
		return Client{}, err
	}
	if CallerFrom(ctx).ClientID == id {
		return Client{}, &Error{Code: Forbidden}
	}
	if before.Halted == nil {
		return before, nil
	}
	c := before
	c.Halted, c.Version = nil, before.Version+1
	changed := []FieldChange{{Field: "bin", Old: before.Halted.BIN}, {Field: "haltedAt", Old: before.Halted.At.Format(time.RFC3339)}}
	return c, v.writeClientAs(ctx, EventClientReleased, c, changed, m)
}

// LimitClient gives a client other limits, in the place of all that it had: NotFound, Forbidden, Conflict.
func (v *Vault) LimitClient(ctx context.Context, id string, limits Limits, m Memo) (Client, error) {
	var changed Client
	return changed, v.UpdateClient(ctx, id, func(c *Client) error {
		c.Limits = limits
		changed = *c
		return nil
	}, m)
}

// mayChoose is TooMany where the caller's PINs were refused so often that none is taken.
func (v *Vault) mayChoose(ctx context.Context) error {
	limits, c, err := v.limited(ctx)
	if err != nil || limits[LimitRefusedPINs] == 0 {
		return err
	}
	return v.tooMany(ctx, LimitRefusedPINs, v.limiter.Spent(LimitRefusedPINs, c.ID, limits[LimitRefusedPINs]))
}

// declinedFor counts a chosen PIN that a policy refuses: TooMany.
func (v *Vault) declinedFor(ctx context.Context, code Code) error {
	if code != WeakPIN && code != RecentPIN && code != PINLength {
		return nil
	}
	limits, c, err := v.limited(ctx)
	if err != nil {
		return err
	}
	return v.take(ctx, LimitRefusedPINs, c.ID, limits)
}

// strangers is among how many names those are counted who name a client that there is not: a bound on what is kept of
// them.
const strangers = 256

// loginFailed counts a wrong secret of a client, known or not: Unauthorized, or TooMany. A right secret is never
// refused, or whoever knows a client's id could lock it out; it has 256 bits, which nobody guesses.
func (v *Vault) loginFailed(ctx context.Context, presented string, c Client) error {
	refused := &Error{Code: Unauthorized, Client: c.ID}
	if v.limiter == nil {
		return refused
	}
	ctx = of(ctx, c)
	whom := c.ID
	if whom == "" {
		mac, err := v.keys.MAC(UseFingerprint, frame("stranger", presented))
		if err != nil {
			return err
		}
		whom = "? " + strconv.Itoa(int(mac[len(mac)-1])%strangers)
	}
	if err := v.take(ctx, LimitFailedLogins, whom, v.limitsOf(c)); err != nil {
		return err
	}
	return refused
}

// of says of which contract a client is that is not the caller yet.
func of(ctx context.Context, c Client) context.Context {
	who := CallerFrom(ctx)
	who.Contract = c.Contract
	return WithCaller(ctx, who)
}

// SecondFactor tells whether a client's secret setting matches, as [Vault.SettingMatches], of a client that is known by
// its secret already: TooMany, whether it matches or not, once too many did not.
func (v *Vault) SecondFactor(ctx context.Context, c Client, name, value string) (bool, error) {
	right, err := v.SettingMatches(c, name, value)
	if err != nil || v.limiter == nil {
		return right, err
	}
	limits, ctx := v.limitsOf(c), of(ctx, c)
	if limit := limits[LimitWrongSecureCodes]; limit > 0 && right {
		return right, v.tooMany(ctx, LimitWrongSecureCodes, v.limiter.Spent(LimitWrongSecureCodes, c.ID, limit))
	}
	if right {
		return true, nil
	}
	return false, v.take(ctx, LimitWrongSecureCodes, c.ID, limits)
}

// unblocks is the limit of a card's unblocks for whoever calls, 0 for none.
func (v *Vault) unblocks(ctx context.Context) (int64, error) {
	limits, _, err := v.limited(ctx)
	return limits[LimitUnblocks], err
}
