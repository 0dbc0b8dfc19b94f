package pin

import (
	"strings"
	"time"
)

// Program is a tenant: an issuer's card program with its PIN rules. Cards and partner clients belong
// to exactly one.
type Program struct {
	ID                   string
	Name                 string
	MinPINLength         int // digits, MinLength..MaxLength
	MaxPINLength         int // digits, MinPINLength..MaxLength
	TryLimit             int // 1..15
	Policy               Policy
	RetrievalAllowed     bool // keep PINs so that they can be read back
	AliasCapability      bool // Credit+: cards may be found by alias
	CardProfileMandatory bool // Accosa: requests must name the card profile
	CPlus                bool // Network International: card_sequence_number is mandatory
	TimeZone             string
	FrameAncestors       []string // origins that may embed the hosted page
	ParentOrigin         string   // origin that hears the hosted page's events
	Branding             map[string]string
	Languages            []string // BCP 47, the first is the default
	Version              int64    // counts changes
	CreatedAt            time.Time
	UpdatedAt            time.Time
}

// Status is a card's state, as far as it decides about PIN operations. Partners number them
// differently; their packages translate.
type Status string

// The statuses.
const (
	StatusNormal     Status = "normal"
	StatusUpgrade    Status = "upgrade" // a replacement is under way; see Card.UpgradeStatus
	StatusInvalid    Status = "invalid"
	StatusLost       Status = "lost"
	StatusStolen     Status = "stolen"
	StatusRestricted Status = "restricted"
	StatusClosed     Status = "closed"
)

// Card is one card (device, in some contracts' words).
type Card struct {
	ID            string
	ProgramID     string
	Status        Status
	UpgradeStatus int    // 0 pending, 1 done; has a meaning with StatusUpgrade only
	Expiry        string // YYMM, "" where the card has none
	Sequence      string // PAN sequence number, two digits, or ""
	PANCiphertext []byte // nil for a card without PAN

	Attributes
	References []Reference // the PAN is not among them

	Version   int64 // counts changes
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Attributes describe a card and may repeat among cards. A contract compares or narrows by them; it
// does not find a card by them alone.
type Attributes struct {
	CustomerReference string
	EmbossName        string
	CustomerID        string
	MobileNumber      string
	EmailAddress      string
	CardProfileID     string
	ProgramCode       string // Credit+ program code, a partner's own notion and not Program.ID
	DevicePlanCode    string
	InstitutionCode   string
	CardholderID      string
	WalletID          string
}

// Operable tells whether the status allows PIN operations.
func (c Card) Operable() bool { return c.Status == StatusNormal || c.Status == StatusUpgrade }

// Usable tells whether the card counts when it is sought by alias: in normal use, or its upgrade done
// (Credit+, card number alias).
func (c Card) Usable() bool {
	return c.Status == StatusNormal || c.Status == StatusUpgrade && c.UpgradeStatus == 1
}

// Reference is the card's reference of that kind, or "".
func (c Card) Reference(kind Kind) string {
	for _, r := range c.References {
		if r.Kind == kind {
			return r.Value
		}
	}
	return ""
}

// Kind is a kind of reference by which a program's cards are found.
type Kind string

// The kinds. Within a program a value of a kind belongs to one card, but for aliases, which may
// repeat. KindPAN is written to the store as a keyed hash only.
const (
	KindPublicToken    Kind = "publicToken"
	KindPAN            Kind = "pan"
	KindURN            Kind = "urn"
	KindIdentifier     Kind = "identifier"
	KindPackID         Kind = "packId"
	KindNumber         Kind = "number"
	KindAlias          Kind = "alias"
	KindHashdtCardID   Kind = "hashdtCardId"
	KindEXID           Kind = "exid"
	KindContractNumber Kind = "contractNumber"
)

// Reference finds a card within a program.
type Reference struct {
	Kind  Kind
	Value string
}

// PINState says where a card's PIN came from.
type PINState string

// The states.
const (
	PINNone     PINState = "none"
	PINAssigned PINState = "assigned" // drawn at random when the card was made
	PINChosen   PINState = "chosen"   // set or changed since
)

// PINRecord is the PIN of one card at rest, and its try counter.
type PINRecord struct {
	State      PINState
	Verifier   []byte // keyed MAC over card and PIN
	Ciphertext []byte // AEAD over the PIN, only where the program allows retrieval
	Version    int64  // counts changes of the PIN
	TriesLeft  int    // 0..limit
	Takes      int64  // counts the tries ever taken, see Tx.GiveBack
	ChangedAt  time.Time
}

// Record is a card with all that its operations need, found in one round trip.
type Record struct {
	Card    Card
	Program Program
	PIN     PINRecord
}

// RemainingTries is what the cardholder has left, 0..limit. A limit lowered since counts at once.
func (r Record) RemainingTries() int { return max(0, min(r.PIN.TriesLeft, r.Program.TryLimit)) }

// Blocked tells whether no tries are left.
func (r Record) Blocked() bool { return r.RemainingTries() == 0 }

// Client is a partner's credentials for one contract.
type Client struct {
	ID           string
	ProgramID    string // "" for a client of the whole server
	Contract     string
	Name         string
	SecretMAC    []byte // keyed MAC of the secret
	OldSecretMAC []byte // the secret before the last rotation, while it overlaps
	OldUntil     time.Time
	Scopes       []string
	Settings     ClientSettings
	Version      int64
	CreatedAt    time.Time
	RevokedAt    time.Time // zero while the client is active
}

// Active tells whether the client has not been revoked.
func (c Client) Active() bool { return c.RevokedAt.IsZero() }

// ClientSettings are what single contracts need to know of a client.
type ClientSettings struct {
	EncryptionRequired bool     `json:"encryptionRequired,omitempty"`
	MessageKeyIDs      []string `json:"messageKeyIds,omitempty"`
	IVMode             string   `json:"ivMode,omitempty"`  // prepended (default) or fixed
	FixedIV            string   `json:"fixedIv,omitempty"` // 16 bytes in hex, with IVMode fixed

	// What a partner's own headers must say besides the API key.
	PartnerClientID string `json:"partnerClientId,omitempty"`
	BankID          string `json:"bankId,omitempty"`
	EntityID        string `json:"entityId,omitempty"`
	SecureCodeMAC   []byte `json:"secureCodeMac,omitempty"` // see Vault.CodeMAC

	// Network International.
	PINKeyIDs       []string `json:"pinKeyIds,omitempty"`       // for requests that name no key: the first that fits
	ApplicationName string   `json:"applicationName,omitempty"` // application_name of replies, "" for the contract's default
	AsymmetricAlias bool     `json:"asymmetricAlias,omitempty"` // ASYMMETRIC_ENC is taken for ASYNC_ENC
}

// ZoneKey is a partner's key at rest, wrapped by a key of ours.
type ZoneKey struct {
	ID         string
	ProgramID  string // "" for a key that serves every program
	Usage      KeyUsage
	Algorithm  string // TDES, AES, …
	Wrapped    []byte
	CheckValue string // upper-case hex
	Version    int
	CreatedAt  time.Time
	RetiredAt  time.Time // zero while it may be used
}

// KeyUsage binds a key to one job: a zone PIN key opens PIN blocks and nothing else.
type KeyUsage string

// The usages.
const (
	UsageZonePIN KeyUsage = "zone-pin"
	UsageMessage KeyUsage = "message"
)

// MaskPAN keeps the first six and last four digits of a PAN (PCI DSS 3.4.1); shorter ones keep the
// last four.
func MaskPAN(pan string) string {
	switch {
	case pan == "":
		return ""
	case len(pan) < 12:
		return strings.Repeat("*", max(0, len(pan)-4)) + pan[max(0, len(pan)-4):]
	default:
		return pan[:6] + strings.Repeat("*", len(pan)-10) + pan[len(pan)-4:]
	}
}

// maskNumbers hides whatever could be a PAN, 12 or more digits in a row, single blanks and hyphens
// between them notwithstanding: partners' operators paste them into free text.
func maskNumbers(text string) string {
	out := []byte(text)
	for i := 0; i < len(out); {
		digits, end := 0, i
		for j := i; j < len(out); j++ {
			if out[j] >= '0' && out[j] <= '9' {
				digits, end = digits+1, j+1
			} else if (out[j] != ' ' && out[j] != '-') || end != j || digits == 0 {
				break
			}
		}
		if digits >= 12 {
			for j := i; j < end; j++ {
				out[j] = '*'
			}
		}
		i = max(end, i+1)
	}
	return string(out)
}
