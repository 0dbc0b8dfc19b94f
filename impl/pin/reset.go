package pin

import "context"

// ResetPIN gives the card a chosen PIN in place of a forgotten one and puts the try counter back to
// its limit, in one transaction: errors as SetPIN. Whoever forgot a PIN has mostly used up its tries,
// and a new PIN that stays blocked would be of no use.
func (v *Vault) ResetPIN(ctx context.Context, q Query, p PIN, m Memo) error {
	rec, err := v.operable(ctx, q)
	if err != nil {
		return err
	}
	complete := m.Complete
	m.Complete = func(tx Tx, result any) error {
		if err := tx.ResetTries(rec.Card.ID, rec.Program.TryLimit); err != nil {
			return err
		}
		if rec.Blocked() {
			if err := v.audit(ctx, tx, cardEvent(EventPINUnblocked, rec.Card), m); err != nil {
				return err
			}
		}
		return Memo{Complete: complete}.complete(tx, result)
	}
	return v.SetPIN(ctx, Query{ProgramID: rec.Program.ID, CardID: rec.Card.ID}, p, m)
}

// CodeMAC is what is kept of a code that a partner sends beside its credentials, such as Accosa's
// secure code.
func (v *Vault) CodeMAC(code string) ([]byte, error) {
	return v.keys.MAC(UseSecret, codeInput(code))
}

// CodeMatches tells whether mac is what CodeMAC made of the code, in constant time.
func (v *Vault) CodeMatches(code string, mac []byte) bool {
	return v.keys.VerifyMAC(UseSecret, codeInput(code), mac)
}

// codeInput has three parts and a client secret's two, so that neither passes for the other.
func codeInput(code string) []byte { return frame("code", code, "") }
