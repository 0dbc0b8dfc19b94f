package pin

import "context"

// Outcome is what an operation on a card came to, for whoever counts: nothing of the card, of a PIN or of what a caller wrote.
type Outcome struct {
	Events    []EventType // that the trail tells of it, none where nothing was written
	Result    Result      // of an offered PIN, "" where none was held against the card's
	Refused   Code        // by what rule of the program a chosen PIN was refused, "" where none was
	Overtaken int         // how often somebody else has changed the card meanwhile
}

// OnOutcome has every operation on a card told of, after it was committed or refused. One that failed is told of where somebody
// else was faster on its way.
func (v *Vault) OnOutcome(told func(ctx context.Context, o Outcome)) { v.outcomes = told }

// count tells what a deed came to.
func (v *Vault) count(ctx context.Context, d deed, overtaken int, err error) {
	o := Outcome{Overtaken: overtaken}
	if made := err == nil || d.Refusal != "" && CodeOf(err) == d.Refusal; made {
		o.Result, o.Refused = d.Result, policyOf(d.Refusal, d.Reason)
		for _, h := range d.Happenings {
			o.Events = append(o.Events, h.Type)
		}
	}
	if len(o.Events) > 0 || o.Result != "" || o.Refused != "" || overtaken > 0 {
		v.outcomes(ctx, o)
	}
}

// policyOf is the first of the codes that a program's rule about PINs refuses one with.
func policyOf(codes ...Code) Code {
	for _, c := range codes {
		if c == PINLength || c == WeakPIN || c == RecentPIN {
			return c
		}
	}
	return ""
}
