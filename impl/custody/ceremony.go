package custody

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pinvault/impl/pin"
)

// Enter takes a component from the caller, who is its custodian, and returns it without what it is. When all are there,
// the key is made of them and shows its check value; the components are not kept. The caller clears the component.
//
// NotFound; Conflict with pin.KeyStateForbids (no ceremony, whole, over) or pin.SameCustodian; Duplicate (number);
// InvalidField (number, component).
func (c *Custody) Enter(ctx context.Context, id string, number int, component []byte, m pin.Memo) (pin.ZoneKey, error) {
	custodian := pin.CallerFrom(ctx).ClientID
	k, err := c.change(ctx, id, m, func(k pin.ZoneKey, now time.Time) ([]pin.KeyChange, error) {
		if err := k.Expects(custodian, number, now); err != nil {
			return nil, err
		}
		part, err := c.ring.WrapComponent(k, custodian, number, component)
		if err != nil {
			return nil, err
		}
		after, err := k.Entered(part, now)
		if err == nil && after.Whole() {
			after, err = c.ring.Combine(after)
		}
		return one(pin.EventKeyComponent, k, after, err)
	})
	if err != nil && k.ID != "" {
		err = c.refused(ctx, k.ProgramID, k.ID, err)
	}
	return k, err
}

// Confirm takes the caller's word, who is one of the custodians, that the key's check value is the one that they expect. The
// last of them puts the key to use.
//
// NotFound; Forbidden for who entered no component; Conflict with pin.KeyStateForbids or pin.SameCustodian; InvalidField
// (checkValue).
func (c *Custody) Confirm(ctx context.Context, id, checkValue string, m pin.Memo) (pin.ZoneKey, error) {
	k, err := c.change(ctx, id, m, func(k pin.ZoneKey, now time.Time) ([]pin.KeyChange, error) {
		after, err := k.Confirmed(pin.CallerFrom(ctx).ClientID, checkValue, now)
		if err != nil || !after.Approved() {
			return one(pin.EventKeyConfirmed, k, after, err)
		}
		return c.activation(ctx, pin.EventKeyActivated, k, after, now)
	})
	if err != nil && k.ID != "" {
		err = c.refused(ctx, k.ProgramID, k.ID, err)
	}
	return k, err
}

// Sweep ends the ceremonies whose time is over, with what was entered for them, and returns how many.
func (c *Custody) Sweep(ctx context.Context) (int64, error) {
	const batch = 200
	swept := int64(0)
	for after := ""; ; {
		page, err := c.vault.Keys(ctx, pin.Page{After: after, Limit: batch})
		if err != nil {
			return swept, err
		}
		for _, k := range page {
			after = k.ID
			if k.Ceremony == nil || k.State != pin.KeyPending || c.clock().Before(k.Ceremony.ExpiresAt) {
				continue
			}
			if _, err := c.Destroy(ctx, k.ID, pin.Memo{Description: "The ceremony's time was over"}); err != nil {
				return swept, err
			}
			swept++
		}
		if len(page) < batch {
			return swept, nil
		}
	}
}

// Record is a key's record for the file, in lines of text: what it is, who did what and when, and check values. There is
// nothing in it that anybody must not see.
func Record(k pin.ZoneKey, state pin.KeyState) string {
	var out strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&out, "%-16s%s\n", name, value)
		}
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			line(name, t.UTC().Format(time.RFC3339))
		}
	}
	line("Key", k.ID)
	line("Program", orAll(k.ProgramID))
	line("Usage", string(k.Usage))
	line("Algorithm", k.Algorithm)
	if k.Size > 0 {
		line("Bits", fmt.Sprint(k.Size))
	}
	line("State", string(state))
	line("Check value", k.CheckValue)
	at("Created", k.CreatedAt)
	at("Activated", k.ActivatedAt)
	at("Retires", k.RetiresAt)
	at("Retired", k.RetiredAt)
	at("Destroyed", k.DestroyedAt)
	if k.Ceremony == nil {
		return out.String()
	}
	line("Requested by", k.Ceremony.Initiator)
	at("To end by", k.Ceremony.ExpiresAt)
	for _, p := range k.Ceremony.Parts {
		line(fmt.Sprintf("Component %d", p.Number), fmt.Sprintf("%s  entered by %s at %s", p.CheckValue, p.Custodian, p.At.UTC().Format(time.RFC3339)))
	}
	for _, w := range k.Ceremony.Confirmations {
		line("Confirmed", fmt.Sprintf("by %s at %s", w.Custodian, w.At.UTC().Format(time.RFC3339)))
	}
	return out.String()
}

func orAll(programID string) string {
	if programID == "" {
		return "all"
	}
	return programID
}
