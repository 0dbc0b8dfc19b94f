package metrics

import (
	"cmp"
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"pinvault/impl/pin"
)

// nobody is the contract of what no contract's client asks for: a session that expires, a command.
const nobody = "none"

// Results that an offered PIN can have, and the rules that a chosen one can be refused by.
var (
	results = []pin.Result{pin.Match, pin.Mismatch, pin.Exhausted, pin.Opaque, pin.Rejected}
	rules   = map[pin.Code]string{pin.PINLength: "length", pin.WeakPIN: "weak", pin.RecentPIN: "recent"}
	chosen  = map[pin.EventType]string{pin.EventPINSet: "set", pin.EventPINChanged: "changed", pin.EventPINReset: "reset"}
	steps   = map[pin.EventType]string{pin.EventSessionOpened: "opened", pin.EventSessionCompleted: "completed", pin.EventSessionExpired: "expired"}
)

// tables are those whose rows have seals.
var tables = []string{"cards", "card_lookup", "audit_events", string(pin.TablePrograms), string(pin.TableClients), string(pin.TableZoneKeys),
	string(pin.TableWebhooks), string(pin.TableChains), string(pin.TableReplays), string(pin.TableSessions), string(pin.TableApprovals), string(pin.TableRecords)}

// Domain counts outcomes of the vault's operations.
type Domain struct {
	contracts                                                         map[string]bool
	verifications, blocks, unblocks, reveals, choices, refused, moved *prometheus.CounterVec
	overtaken                                                         prometheus.Counter
	tampered, overLimit                                               *prometheus.CounterVec
}

// NewDomain registers them. contracts are the names of all there are; what calls itself otherwise counts as nobody's.
func NewDomain(r prometheus.Registerer, contracts []string) *Domain {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	d := &Domain{
		contracts:     map[string]bool{nobody: true},
		verifications: counter("pinvault_pin_verifications_total", "PINs held against a card's, by contract and outcome: match, mismatch, blocked, unopenable, rejected.", "contract", "outcome"),
		blocks:        counter("pinvault_pin_blocks_total", "Cards whose last try was taken, by the contract that took it.", "contract"),
		unblocks:      counter("pinvault_pin_unblocks_total", "Try counters put back, by contract.", "contract"),
		reveals:       counter("pinvault_pin_reveals_total", "PINs read back in the clear, by contract.", "contract"),
		choices:       counter("pinvault_pin_changes_total", "PINs given to cards, by contract and how: set, changed, reset.", "contract", "kind"),
		refused:       counter("pinvault_pin_refusals_total", "Chosen PINs that a program's policy refused, by contract and rule: length, weak, recent.", "contract", "rule"),
		moved:         counter("pinvault_pin_sessions_total", "PIN-entry sessions, by what became of them: opened, completed, expired.", "state"),
		overLimit:     counter("pinvault_limit_refusals_total", "What was refused because a limit of a client was used up, by limit and contract.", "limit", "contract"),
		tampered:      counter("pinvault_tampered_total", "Rows met whose seal is broken, by table.", "table"),
		overtaken: prometheus.NewCounter(prometheus.CounterOpts{Name: "pinvault_card_conflicts_total",
			Help: "Changes of a card that were decided anew, because another request had changed it first."}),
	}
	r.MustRegister(d.overtaken)
	for _, name := range contracts {
		d.contracts[name] = true
	}
	for name := range d.contracts {
		for _, result := range results {
			d.verifications.WithLabelValues(name, string(result))
		}
		for _, v := range []*prometheus.CounterVec{d.blocks, d.unblocks, d.reveals} {
			v.WithLabelValues(name)
		}
		for _, kind := range chosen {
			d.choices.WithLabelValues(name, kind)
		}
		for _, rule := range rules {
			d.refused.WithLabelValues(name, rule)
		}
		for limit := range pin.DefaultLimits() {
			d.overLimit.WithLabelValues(string(limit), name)
		}
	}
	for _, step := range steps {
		d.moved.WithLabelValues(step)
	}
	for _, table := range tables {
		d.tampered.WithLabelValues(table)
	}
	return d
}

// Outcome counts what an operation came to; see [pin.Vault.OnOutcome].
func (d *Domain) Outcome(ctx context.Context, o pin.Outcome) {
	contract := pin.CallerFrom(ctx).Contract
	if !d.contracts[contract] {
		contract = nobody
	}
	d.overtaken.Add(float64(o.Overtaken))
	if o.Result != "" {
		Inc(ctx, d.verifications.WithLabelValues(contract, string(o.Result)))
	}
	if rule := rules[o.Refused]; rule != "" {
		d.refused.WithLabelValues(contract, rule).Inc()
	}
	for _, e := range o.Events {
		switch e {
		case pin.EventPINBlocked:
			Inc(ctx, d.blocks.WithLabelValues(contract))
		case pin.EventPINUnblocked:
			Inc(ctx, d.unblocks.WithLabelValues(contract))
		case pin.EventPINRevealed:
			Inc(ctx, d.reveals.WithLabelValues(contract))
		}
		if kind := chosen[e]; kind != "" {
			d.choices.WithLabelValues(contract, kind).Inc()
		}
		if step := steps[e]; step != "" {
			d.moved.WithLabelValues(step).Inc()
		}
	}
}

// OverLimit counts what was refused because a limit of a client was used up.
func (d *Domain) OverLimit(kind pin.Limit, contract string) {
	d.overLimit.WithLabelValues(string(kind), cmp.Or(contract, nobody)).Inc()
}

// Tampered counts a row whose seal is broken.
func (d *Domain) Tampered(table string) { d.tampered.WithLabelValues(table).Inc() }
