package pin

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ZoneKey is a partner's key at rest, wrapped by a key of ours.
type ZoneKey struct {
	ID         string   `json:"id"`
	ProgramID  string   `json:"programId,omitempty"` // "" for a key that serves every program
	Usage      KeyUsage `json:"usage"`
	Algorithm  string   `json:"algorithm"`      // TDES, AES, RSA
	Size       int      `json:"size,omitempty"` // bits; 0 of a key whose components are not there yet
	Wrapped    []byte   `json:"wrapped"`        // nil of a key that is not whole yet, or destroyed
	CheckValue string   `json:"checkValue"`     // upper-case hex, "" of a key that is not whole yet
	Version    int      `json:"version"`

	State KeyState `json:"state,omitempty"` // as it was written: see [ZoneKey.StateAt]
	Block KeyBlock `json:"block,omitzero"`

	Succeeds  []string  `json:"succeeds,omitempty"`  // the keys in whose place it came, the latest first
	Overlap   int64     `json:"overlap,omitempty"`   // for how many seconds the latest of them opens once this one is active
	Successor string    `json:"successor,omitempty"` // the key that came in its place
	Ceremony  *Ceremony `json:"ceremony,omitempty"`  // of a key that is or was made of components

	CreatedAt   time.Time `json:"createdAt"`
	ActivatedAt time.Time `json:"activatedAt,omitzero"`
	RetiresAt   time.Time `json:"retiresAt,omitzero"` // when a retiring key is retired
	RetiredAt   time.Time `json:"retiredAt,omitzero"` // zero while it may be used
	DestroyedAt time.Time `json:"destroyedAt,omitzero"`
}

// Bound is what a wrapped key is bound to: the members that say what it may be used for. A row that was changed there, or
// that got another row's key, does not open.
func (k ZoneKey) Bound() []byte { return frame(k.ID, k.ProgramID, string(k.Usage), k.Algorithm) }

// BoundPart is what a component of the key is bound to: its key and its number.
func (k ZoneKey) BoundPart(number int) []byte {
	return frame(k.ID, k.ProgramID, string(k.Usage), k.Algorithm, "component", strconv.Itoa(number))
}

// KeyBlock is what a key block said of the key that it held, or is to say of one that was made here: characters of
// ANSI X9.143, "" where they follow from the key's usage.
type KeyBlock struct {
	Usage         string `json:"usage,omitempty"`
	Mode          string `json:"mode,omitempty"`
	Exportability string `json:"exportability,omitempty"` // "" is not exportable
}

// KeyUsage binds a key to one job: a zone PIN key opens PIN blocks and nothing else.
type KeyUsage string

// The usages.
const (
	UsageZonePIN      KeyUsage = "zone-pin"         // PIN blocks between zones
	UsageMessage      KeyUsage = "message"          // messages of contracts that encrypt them
	UsageZoneMaster   KeyUsage = "zone-master"      // other keys in key blocks
	UsageVerification KeyUsage = "pin-verification" // PVVs, natural PINs and offsets
	UsagePINMailer    KeyUsage = "pin-mailer"       // PIN blocks to a printer
)

// keySizes are the lengths of keys of each usage, in bits, by algorithm.
var keySizes = map[KeyUsage]map[string][]int{
	UsageZonePIN:      {"TDES": {128, 192}, "AES": {128, 192, 256}, "RSA": {2048, 3072, 4096}},
	UsageMessage:      {"AES": {192, 256}}, // Accosa's and Credit+'s
	UsageZoneMaster:   {"TDES": {128, 192}, "AES": {128, 192, 256}},
	UsageVerification: {"TDES": {128, 192}},
	UsagePINMailer:    {"TDES": {128, 192}, "AES": {128, 192, 256}},
}

// Takes tells whether keys of the usage may be of an algorithm and, unless it is 0, of so many bits.
func (u KeyUsage) Takes(algorithm string, bits int) bool {
	sizes, ok := keySizes[u][algorithm]
	return ok && (bits == 0 || slices.Contains(sizes, bits))
}

// Usual is the length of keys of the usage and an algorithm that are drawn here, in bits: the longest, except for RSA, whose
// shortest is what partners' security modules take. It is 0 of an algorithm that the usage does not take.
func (u KeyUsage) Usual(algorithm string) int {
	sizes := keySizes[u][algorithm]
	switch {
	case len(sizes) == 0:
		return 0
	case algorithm == "RSA":
		return sizes[0]
	}
	return sizes[len(sizes)-1]
}

// KeyReason says, in the chain of an [Error], why a key was refused where the code says too little.
type KeyReason string

// Error is the reason.
func (r KeyReason) Error() string { return string(r) }

// The reasons.
const (
	KeyStateForbids  KeyReason = "key_state"      // Conflict: the key's state does not allow it
	SameCustodian    KeyReason = "same_custodian" // Conflict: the caller has done their part already
	NotExportable    KeyReason = "not_exportable" // Conflict
	KeyBlockUnopened KeyReason = "key_block"      // InvalidField: for whatever reason
	WeakerPINBinding KeyReason = "weaker_binding" // InvalidField: a PIN that is bound to a PAN would become one that is bound to none
)

// KeyReasons are all reasons, in the order in which they are declared.
func KeyReasons() []KeyReason {
	return []KeyReason{KeyStateForbids, SameCustodian, NotExportable, KeyBlockUnopened, WeakerPINBinding}
}

// refusedKey is a Conflict with a reason.
func refusedKey(r KeyReason) error { return &Error{Code: Conflict, Err: r} }

// KeyState is where a key stands in its life.
type KeyState string

// The states.
const (
	KeyPending   KeyState = "pending"   // not whole, not confirmed or not activated yet: it can do nothing
	KeyActive    KeyState = "active"    // it opens and seals
	KeyRetiring  KeyState = "retiring"  // it opens what was sealed before, and seals no more
	KeyRetired   KeyState = "retired"   // it can do nothing: UnknownKey
	KeyDestroyed KeyState = "destroyed" // its material is gone for good
)

// keyStep is what may be done with a key.
type keyStep int

const (
	keyActivate keyStep = iota
	keyWindDown         // it is retiring until a date
	keyRetire
	keyDestroy
)

// keyLife is all that may be done with a key in each state, and the state that it leads to.
var keyLife = map[KeyState]map[keyStep]KeyState{
	KeyPending:  {keyActivate: KeyActive, keyDestroy: KeyDestroyed},
	KeyActive:   {keyWindDown: KeyRetiring, keyRetire: KeyRetired},
	KeyRetiring: {keyWindDown: KeyRetiring, keyRetire: KeyRetired},
	KeyRetired:  {keyDestroy: KeyDestroyed},
}

// StateAt is the state at a time: a retiring key is retired when its date has come, without anybody's doing.
func (k ZoneKey) StateAt(now time.Time) KeyState {
	if k.State == KeyRetiring && !now.Before(k.RetiresAt) {
		return KeyRetired
	}
	return cmp.Or(k.State, KeyActive)
}

// Modes of use (X9.143) of keys that may only do one half of what their usage has.
const (
	openingModes = "BDNCV" // decrypt, unwrap, verify
	sealingModes = "BENCG" // encrypt, wrap, generate
)

// Opens tells whether the key may decrypt, unwrap or verify.
func (k ZoneKey) Opens(now time.Time) bool {
	state := k.StateAt(now)
	return (state == KeyActive || state == KeyRetiring) && strings.Contains(openingModes, k.Block.Mode)
}

// Seals tells whether the key may encrypt, wrap or generate.
func (k ZoneKey) Seals(now time.Time) bool {
	return k.StateAt(now) == KeyActive && strings.Contains(sealingModes, k.Block.Mode)
}

// Exportable tells whether the key may leave in a key block.
func (k ZoneKey) Exportable() bool {
	return k.Block.Exportability == "E" || k.Block.Exportability == "S"
}

// Follows tells whether the key came in the place of another one, at once or by way of others.
func (k ZoneKey) Follows(id string) bool { return slices.Contains(k.Succeeds, id) }

// stepped is the key in the state that a step leads to: Conflict, KeyStateForbids.
func (k ZoneKey) stepped(s keyStep, now time.Time) (ZoneKey, error) {
	next, ok := keyLife[k.StateAt(now)][s]
	if !ok {
		return k, refusedKey(KeyStateForbids)
	}
	k.State = next
	return k, nil
}

// Activated is the key from now on in use. One that is not whole, or waits for confirmations, is refused as one in
// another state: Conflict, KeyStateForbids.
func (k ZoneKey) Activated(now time.Time) (ZoneKey, error) {
	if len(k.Wrapped) == 0 || k.Ceremony != nil && !k.Ceremony.confirmed() {
		return k, refusedKey(KeyStateForbids)
	}
	k, err := k.stepped(keyActivate, now)
	k.ActivatedAt = now
	return k, err
}

// Retired is the key that opens until a time, and is retired then: at once where that is not later than now. Conflict,
// KeyStateForbids.
func (k ZoneKey) Retired(until, now time.Time) (ZoneKey, error) {
	if now.Before(until) {
		k, err := k.stepped(keyWindDown, now)
		k.RetiresAt = until
		return k, err
	}
	k, err := k.stepped(keyRetire, now)
	k.RetiresAt, k.RetiredAt = time.Time{}, now
	return k, err
}

// Destroyed is the key without its material, of one that was retired or never in use: Conflict, KeyStateForbids.
func (k ZoneKey) Destroyed(now time.Time) (ZoneKey, error) {
	k, err := k.stepped(keyDestroy, now)
	k.Wrapped, k.DestroyedAt = nil, now
	if k.Ceremony != nil {
		k.Ceremony = k.Ceremony.withoutMaterial()
	}
	return k, err
}

// Follow is the key as one that comes in another's place, which opens for so long once this one is active: InvalidField
// (succeeds) for one of another program or usage, or that has a successor.
func (k ZoneKey) Follow(before ZoneKey, overlap time.Duration, now time.Time) (ZoneKey, error) {
	if before.ProgramID != k.ProgramID || before.Usage != k.Usage || before.Successor != "" || before.ID == k.ID || before.StateAt(now) != KeyActive {
		return k, &Error{Code: InvalidField, Field: "succeeds"}
	}
	k.Succeeds, k.Overlap = append([]string{before.ID}, before.Succeeds...), int64(overlap/time.Second)
	return k, nil
}

// SucceededBy is the key in whose place another one has come that was activated now: one that is in use is retired when
// their overlap is over. Conflict, KeyStateForbids where a third one was faster.
func (k ZoneKey) SucceededBy(next ZoneKey, now time.Time) (ZoneKey, error) {
	if k.Successor != "" {
		return k, refusedKey(KeyStateForbids)
	}
	k.Successor = next.ID
	if k.StateAt(now) != KeyActive {
		return k, nil
	}
	return k.Retired(now.Add(time.Duration(next.Overlap)*time.Second), now)
}

// WithoutMaterial is what may be told and kept of the key.
func (k ZoneKey) WithoutMaterial() ZoneKey {
	k.Wrapped = nil
	if k.Ceremony != nil {
		k.Ceremony = k.Ceremony.withoutMaterial()
	}
	return k
}
