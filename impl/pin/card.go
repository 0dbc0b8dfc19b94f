package pin

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Program is a tenant: an issuer's card program with its PIN rules. Cards and partner clients belong
// to exactly one.
type Program struct {
	ID               string                     `json:"id"`
	Name             string                     `json:"name"`
	MinPINLength     int                        `json:"minPinLength"` // digits, MinLength..MaxLength
	MaxPINLength     int                        `json:"maxPinLength"` // digits, MinPINLength..MaxLength
	TryLimit         int                        `json:"tryLimit"`     // 1..15
	Policy           Policy                     `json:"pinPolicy"`
	RetrievalAllowed bool                       `json:"retrievalAllowed"`         // keep PINs so that they can be read back
	RetrievalEpoch   int64                      `json:"retrievalEpoch,omitempty"` // counts how often that was switched; what was kept before is not read back
	DualUnblock      bool                       `json:"dualUnblock,omitzero"`     // an unblock needs a second client's approval
	DualReveal       bool                       `json:"dualReveal,omitzero"`      // so does whatever a PIN leaves by
	ApprovalSeconds  int                        `json:"approvalSeconds,omitzero"` // how long one is good; 0: DefaultApprovalSeconds
	TimeZone         string                     `json:"timeZone,omitempty"`       // IANA; of times without an offset; "" for UTC or what a contract has in its place
	Settings         map[string]json.RawMessage `json:"settings,omitempty"`       // of contracts, by name; their packages alone know what they say
	Version          int64                      `json:"version"`                  // counts changes
	CreatedAt        time.Time                  `json:"createdAt"`
	UpdatedAt        time.Time                  `json:"updatedAt"`
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

// Card is one card (device, in some contracts' words), except for its PIN.
type Card struct {
	ID            string `json:"id"`
	ProgramID     string `json:"programId"`
	Status        Status `json:"status"`
	UpgradeStatus int    `json:"upgradeStatus,omitempty"` // 0 pending, 1 done; has a meaning with StatusUpgrade only
	Expiry        string `json:"expiry,omitempty"`        // YYMM, "" where the card has none
	Sequence      string `json:"sequence,omitempty"`      // PAN sequence number, two digits, or ""
	PANCiphertext []byte `json:"pan,omitempty"`           // nil for a card without PAN
	PANIndex      string `json:"panIndex,omitempty"`      // keyed hash of the PAN, by which the card is found

	Attributes
	References []Reference `json:"references,omitempty"` // the PAN is not among them

	Version   int64     `json:"version"` // counts changes of the card, those of its PIN aside
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Attributes describe a card and may repeat among cards. A contract compares or narrows by them.
type Attributes struct {
	CustomerReference string `json:"customerReference,omitempty"`
	EmbossName        string `json:"embossName,omitempty"`
	CustomerID        string `json:"customerId,omitempty"`
	MobileNumber      string `json:"mobileNumber,omitempty"`
	EmailAddress      string `json:"emailAddress,omitempty"`
	CardProfileID     string `json:"cardProfileId,omitempty"`
	ProgramCode       string `json:"programCode,omitempty"` // Credit+ program code, a partner's own notion and not Program.ID
	DevicePlanCode    string `json:"devicePlanCode,omitempty"`
	InstitutionCode   string `json:"institutionCode,omitempty"`
	CardholderID      string `json:"cardholderId,omitempty"`
	WalletID          string `json:"walletId,omitempty"`
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

// Record is a card with all that its operations need, found in one round trip.
type Record struct {
	Card    Card
	Program Program
	PIN     Value

	revision int64  // of the row
	details  []byte // as they stand in it
}

// RemainingTries is what the cardholder has left, 0..limit. A limit lowered since counts at once.
func (r Record) RemainingTries() int { return r.PIN.Remaining(r.Program) }

// Blocked tells whether no tries are left.
func (r Record) Blocked() bool { return r.RemainingTries() == 0 }

// Client is a partner's credentials for one contract.
type Client struct {
	ID              string    `json:"id"`
	ProgramID       string    `json:"programId,omitempty"` // "" for a client of the whole server
	Contract        string    `json:"contract"`
	Name            string    `json:"name"`
	SecretDigest    []byte    `json:"secretDigest,omitempty"`    // what the secret is compared with, see [KeepSecret]
	OldSecretDigest []byte    `json:"oldSecretDigest,omitempty"` // of the secret before the last rotation, while it overlaps
	OldUntil        time.Time `json:"oldUntil,omitzero"`

	// The client's version since which a secret is its own. Tokens name the version that they were issued to.
	SecretVersion    int64 `json:"secretVersion"`
	OldSecretVersion int64 `json:"oldSecretVersion,omitempty"`

	Scopes    []string          `json:"scopes,omitempty"`
	Settings  json.RawMessage   `json:"settings,omitempty"` // of its contract, whose package alone knows what they say
	Secrets   map[string][]byte `json:"secrets,omitempty"`  // what the settings that are secret are compared with, by name, see Vault.KeepSetting; never told or shown
	Limits    Limits            `json:"limits,omitempty"`   // what it may do how often; what it does not name is as the server's are
	Halted    *Halt             `json:"halted,omitempty"`   // since the alarm went off, until somebody releases it
	Version   int64             `json:"version"`
	CreatedAt time.Time         `json:"createdAt"`
	RevokedAt time.Time         `json:"revokedAt,omitzero"` // zero while the client is active
}

// Honours tells whether a token that was issued to a version of the client is good: one of its secret, or
// of the secret before while that overlaps.
func (c Client) Honours(version int64, now time.Time) bool {
	return version <= c.Version && (version >= c.SecretVersion || version >= c.OldSecretVersion && now.Before(c.OldUntil))
}

// Active tells whether the client has not been revoked.
func (c Client) Active() bool { return c.RevokedAt.IsZero() }

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

// MaskNumbers hides whatever could be a PAN, 12 or more digits with no more than three separators between
// one and the next, in any script: partners' operators paste them into free text.
func MaskNumbers(text string) string {
	runes := []rune(text)
	hidden := false
	for i := 0; i < len(runes); i++ {
		digits, end := 0, i
		for j := i; j < len(runes) && j-end <= maxSeparators; j++ {
			if unicode.IsDigit(runes[j]) {
				digits, end = digits+1, j+1
			} else if digits == 0 || !separates(runes[j]) {
				break
			}
		}
		if digits >= 12 {
			for j := i; j < end; j++ {
				runes[j] = '*'
			}
			hidden = true
		}
		i = max(end-1, i)
	}
	if !hidden {
		return text
	}
	return string(runes)
}

// maxSeparators is how many separators in a row leave two digits in one number: a hyphen between blanks.
const maxSeparators = 3

// separates tells whether people write the character between the digits of a number, or a program on its way here: a blank that
// nobody sees, or a plus in the place of one.
func separates(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.Is(unicode.Cf, r) || r == '+'
}
