// Package models holds the rows of PinVault's database as GORM sees them, and the versioned SQL that
// makes their tables. It has no behaviour and knows no other package of ours.
//
// The SQL under migrations is where a table is changed; the tags repeat it, and a test of impl/store
// holds the two against each other on every database. AutoMigrate is for nothing.
//
// What the columns mean is said in impl/pin, whose types the rows mirror. No column holds a PIN or a
// PAN in clear.
package models

import "time"

// All is one row of every table.
func All() []any {
	return []any{
		&Setting{}, &Program{}, &Client{}, &Card{}, &CardReference{}, &PIN{}, &PINHistory{}, &ZoneKey{},
		&AuditEvent{}, &Replay{}, &ServiceRequest{}, &PINSession{},
	}
}

// Setting is a fact about the installation, written once.
type Setting struct {
	Key   string `gorm:"primaryKey"`
	Value string `gorm:"not null"`
}

// Program is a tenant with its PIN rules.
type Program struct {
	ID                   string            `gorm:"primaryKey"`
	Name                 string            `gorm:"not null"`
	MinPINLength         int               `gorm:"not null"`
	MaxPINLength         int               `gorm:"not null"`
	TryLimit             int               `gorm:"not null"`
	Policy               string            `gorm:"not null"`
	RetrievalAllowed     bool              `gorm:"not null"`
	AliasCapability      bool              `gorm:"not null"`
	CardProfileMandatory bool              `gorm:"not null"`
	CPlus                bool              `gorm:"not null"`
	TimeZone             string            `gorm:"not null"`
	FrameAncestors       []string          `gorm:"serializer:json"`
	ParentOrigin         string            `gorm:"not null"`
	Branding             map[string]string `gorm:"serializer:json"`
	Languages            []string          `gorm:"serializer:json"`
	Version              int64             `gorm:"not null"`
	CreatedAt            time.Time         `gorm:"not null;autoCreateTime:false"`
	UpdatedAt            time.Time         `gorm:"not null;autoUpdateTime:false"`
}

// Client is a partner's credentials. ProgramID is empty for a client of the whole server, RevokedAt
// null while it is active.
type Client struct {
	ID           string `gorm:"primaryKey"`
	ProgramID    string `gorm:"not null"`
	Contract     string `gorm:"not null"`
	Name         string `gorm:"not null"`
	SecretMAC    []byte `gorm:"not null"`
	OldSecretMAC []byte
	OldUntil     *time.Time
	Scopes       []string       `gorm:"serializer:json"`
	Settings     ClientSettings `gorm:"serializer:json;not null"`
	Version      int64          `gorm:"not null"`
	CreatedAt    time.Time      `gorm:"not null;autoCreateTime:false"`
	RevokedAt    *time.Time
}

// ClientSettings are what single contracts need to know of a client.
type ClientSettings struct {
	EncryptionRequired bool     `json:"encryptionRequired,omitempty"`
	MessageKeyIDs      []string `json:"messageKeyIds,omitempty"`
	IVMode             string   `json:"ivMode,omitempty"`
	FixedIV            string   `json:"fixedIv,omitempty"`
	PartnerClientID    string   `json:"partnerClientId,omitempty"`
	BankID             string   `json:"bankId,omitempty"`
	EntityID           string   `json:"entityId,omitempty"`
	SecureCodeMAC      []byte   `json:"secureCodeMac,omitempty"`
	PINKeyIDs          []string `json:"pinKeyIds,omitempty"`
	ApplicationName    string   `json:"applicationName,omitempty"`
	AsymmetricAlias    bool     `json:"asymmetricAlias,omitempty"`
}

// Card is one card. Its references are rows of their own, its PIN too.
type Card struct {
	ID                string `gorm:"primaryKey"`
	ProgramID         string `gorm:"not null"`
	Status            string `gorm:"not null"`
	UpgradeStatus     int    `gorm:"not null"`
	Expiry            string `gorm:"not null"`
	Sequence          string `gorm:"not null"`
	PANCiphertext     []byte
	CustomerReference string    `gorm:"not null"`
	EmbossName        string    `gorm:"not null"`
	CustomerID        string    `gorm:"not null"`
	MobileNumber      string    `gorm:"not null"`
	EmailAddress      string    `gorm:"not null"`
	CardProfileID     string    `gorm:"not null"`
	ProgramCode       string    `gorm:"not null"`
	DevicePlanCode    string    `gorm:"not null"`
	InstitutionCode   string    `gorm:"not null"`
	CardholderID      string    `gorm:"not null"`
	WalletID          string    `gorm:"not null"`
	Version           int64     `gorm:"not null"`
	CreatedAt         time.Time `gorm:"not null;autoCreateTime:false"`
	UpdatedAt         time.Time `gorm:"not null;autoUpdateTime:false"`
}

// CardReference finds a card within its program. A PAN stands here as a keyed hash only.
type CardReference struct {
	CardID    string `gorm:"primaryKey"`
	Kind      string `gorm:"primaryKey"`
	Value     string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
}

// PIN is a card's PIN at rest and its try counter.
type PIN struct {
	CardID     string `gorm:"primaryKey"`
	State      string `gorm:"not null"`
	Verifier   []byte
	Ciphertext []byte
	Version    int64     `gorm:"not null"`
	TriesLeft  int       `gorm:"not null"`
	Takes      int64     `gorm:"not null"`
	ChangedAt  time.Time `gorm:"not null"`
}

// TableName is pins.
func (PIN) TableName() string { return "pins" }

// PINHistory is a verifier that was replaced, under the version that it had.
type PINHistory struct {
	CardID   string `gorm:"primaryKey"`
	Version  int64  `gorm:"primaryKey;autoIncrement:false"`
	Verifier []byte `gorm:"not null"`
}

// TableName is pin_history.
func (PINHistory) TableName() string { return "pin_history" }

// ZoneKey is a partner's key, wrapped. ProgramID is empty for a key that serves every program,
// RetiredAt null while the key may be used.
type ZoneKey struct {
	ID         string    `gorm:"primaryKey"`
	ProgramID  string    `gorm:"not null"`
	Usage      string    `gorm:"not null"`
	Algorithm  string    `gorm:"not null"`
	Wrapped    []byte    `gorm:"not null"`
	CheckValue string    `gorm:"not null"`
	Version    int       `gorm:"not null"`
	CreatedAt  time.Time `gorm:"not null;autoCreateTime:false"`
	RetiredAt  *time.Time
}

// AuditEvent is a line of the audit trail. The database refuses to change or delete one.
type AuditEvent struct {
	ID          string    `gorm:"primaryKey"`
	Chain       string    `gorm:"not null"`
	Seq         int64     `gorm:"not null"`
	Type        string    `gorm:"not null"`
	ProgramID   string    `gorm:"not null"`
	CardID      string    `gorm:"not null"`
	Subject     string    `gorm:"not null"`
	Outcome     string    `gorm:"not null"`
	At          time.Time `gorm:"not null"`
	Contract    string    `gorm:"not null"`
	ClientID    string    `gorm:"not null"`
	RemoteAddr  string    `gorm:"not null"`
	TraceID     string    `gorm:"not null"`
	Description string    `gorm:"not null"`
	UpdatedBy   string    `gorm:"not null"`
	MAC         []byte    `gorm:"not null"`
}

// Replay is the record of a request that may be repeated.
type Replay struct {
	Scope       string `gorm:"primaryKey"`
	Key         string `gorm:"primaryKey"`
	Endpoint    string `gorm:"not null"`
	Fingerprint []byte `gorm:"not null"`
	Done        bool   `gorm:"not null"`
	Result      []byte
	CreatedAt   time.Time `gorm:"not null;autoCreateTime:false"`
	ExpiresAt   time.Time `gorm:"not null"`
}
