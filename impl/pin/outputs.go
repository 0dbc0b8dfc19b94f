package pin

import (
	"maps"
	"slices"
)

// What rests under one of our keys, besides the seals, is listed here, row by row: so it can be put under another key
// (see rewrap.go), and be told which keys are still needed (see usage.go). Whatever is kept anew has its line here.

// output is what a key has made and a row holds.
type output struct {
	use   Use
	made  []byte
	bound []byte       // of a ciphertext: its associated data
	put   func([]byte) // keeps another one in its place; nil of what is not made of itself
}

// outputs are those of what a card's PIN is.
func (v *Value) outputs(c Card) []output {
	out := []output{
		{UseVerifier, v.Verifier, verifierBound(c.ID), func(b []byte) { v.Verifier = b }},
		{UsePIN, v.Ciphertext, pinBound(c.ProgramID, c.ID), func(b []byte) { v.Ciphertext = b }},
	}
	if v.Brought != nil {
		brought := *v.Brought
		v.Brought = &brought
		out = append(out, output{UsePIN, brought.Sealed, broughtBy(c), func(b []byte) { v.Brought.Sealed = b }})
	}
	v.Former = slices.Clone(v.Former)
	for i, verifier := range v.Former {
		out = append(out, output{UseVerifier, verifier, verifierBound(c.ID), func(b []byte) { v.Former[i] = b }})
	}
	return out
}

// outputs are those of a card besides its PIN. The index is one that can be made of the PAN alone.
func (c *Card) outputs() []output {
	return []output{{UsePAN, c.PANCiphertext, c.panBound(), func(b []byte) { c.PANCiphertext = b }}}
}

// outputs are those of a client, whose secret settings become its own.
func (c *Client) outputs() []output {
	out := []output{
		{UseSecret, c.SecretDigest, Frame("client", c.ID), func(b []byte) { c.SecretDigest = b }},
		{UseSecret, c.OldSecretDigest, Frame("client", c.ID), func(b []byte) { c.OldSecretDigest = b }},
	}
	c.Secrets = maps.Clone(c.Secrets)
	for name, kept := range c.Secrets {
		out = append(out, output{UseSecret, kept, Frame("setting", c.ID, name), func(b []byte) { c.Secrets[name] = b }})
	}
	return out
}

// outputs are those of a partner's key.
func (k *ZoneKey) outputs() []output {
	out := []output{{UseKeyWrap, k.Wrapped, k.Bound(), func(b []byte) { k.Wrapped = b }}}
	if k.Ceremony == nil {
		return out
	}
	c := *k.Ceremony
	c.Parts = slices.Clone(c.Parts)
	k.Ceremony = &c
	for i, p := range c.Parts {
		out = append(out, output{UseKeyWrap, p.Wrapped, k.BoundPart(p.Number), func(b []byte) { c.Parts[i].Wrapped = b }})
	}
	return out
}

// outputs are those of a webhook, whose keys become its own.
func (w *Webhook) outputs() []output {
	w.Keys = slices.Clone(w.Keys)
	var out []output
	for i, k := range w.Keys {
		out = append(out,
			output{UseKeyWrap, k.Secret, webhookBound(w.ID, "secret"), func(b []byte) { w.Keys[i].Secret = b }},
			output{UseKeyWrap, k.Seed, webhookBound(w.ID, "seed"), func(b []byte) { w.Keys[i].Seed = b }})
	}
	return out
}

// outputs are those of a PIN-entry session.
func (s *Session) outputs() []output {
	return []output{
		{UseSecret, s.SecretDigest, Frame(SessionSecretBound(SessionLink, s.ID)...), func(b []byte) { s.SecretDigest = b }},
		{UseSecret, s.BrowserDigest, Frame(SessionSecretBound(SessionBrowser, s.ID)...), func(b []byte) { s.BrowserDigest = b }},
		{UseSecret, s.TokenDigest, Frame(SessionSecretBound(SessionToken, s.ID)...), func(b []byte) { s.TokenDigest = b }},
		{UseKeyWrap, s.PrivateKey, SessionKeyBound(s.ID), func(b []byte) { s.PrivateKey = b }},
	}
}

// outputs are those of a replay record, which nobody can make anew: whoever repeats the request has what they are made of.
func (r *Replay) outputs(id string) []output {
	return []output{{use: UseReplayKey, made: []byte(id)}, {use: UseFingerprint, made: r.Fingerprint}}
}

// renew puts what rests under a former key under the current one, and tells whether there was anything. Whoever writes a row that was read
// renews it, so that what others rewrapped meanwhile does not come back as it was.
func (v *Vault) renew(outputs []output) (renewed bool, err error) {
	for _, o := range outputs {
		if _, there := v.keys.KeyID(o.use, o.made); o.put == nil || !there || !v.keys.Stale(o.use, o.made) {
			continue // also where the key is there no more: nobody can make it anew
		}
		fresh, err := v.keys.Rewrap(o.use, o.made, o.bound)
		if err != nil {
			return renewed, err
		}
		o.put(fresh)
		renewed = true
	}
	return renewed, nil
}

// renewable tells whether any of these should be made anew and can be.
func (v *Vault) renewable(outputs []output) bool {
	return slices.ContainsFunc(outputs, func(o output) bool {
		_, there := v.keys.KeyID(o.use, o.made)
		return v.keys.Stale(o.use, o.made) && (there || o.put == nil)
	})
}

// stale tells whether anything of a card rests under another key than the current one of its use.
func (v *Vault) stale(row CardRow, rec Record) bool {
	return slices.ContainsFunc(rec.outputs(row), func(o output) bool { return v.keys.Stale(o.use, o.made) })
}

// outputs are all that keys have made of a card's row.
func (r *Record) outputs(row CardRow) []output {
	return slices.Concat(r.PIN.outputs(r.Card), r.Card.outputs(), r.PIN.Head.outputs(), []output{
		{use: UsePANIndex, made: []byte(r.Card.PANIndex)}, {use: UseSeal, made: row.Seal}})
}

// outputs are those of a chain's head: events are never made anew, and the chain goes on.
func (h Head) outputs() []output { return []output{{use: UseAudit, made: h.MAC}} }
