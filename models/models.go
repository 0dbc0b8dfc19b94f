// Package models holds the rows of PinVault's database as GORM sees them, and the versioned SQL that
// makes their tables. It has no behaviour and knows no other package of ours.
//
// The SQL under migrations is where a table is changed; the tags repeat it, and a test of impl/store
// holds the two against each other on every database. AutoMigrate is for nothing.
//
// What a row says stands in its body, as JSON, under its seal; impl/pin knows what that is. No column
// holds a PIN or a PAN in clear.
package models

// All is one row of every table.
func All() []any {
	return []any{
		&Setting{}, &Program{}, &Client{}, &ZoneKey{}, &Chain{}, &Sequence{}, &Card{}, &CardLookup{}, &AuditEvent{},
		&PINSession{}, &Approval{}, &ContractRecord{}, &Replay{}, &WebhookEndpoint{}, &WebhookDelivery{},
		&LimitLease{}, &LimitVerification{}, &LimitMismatch{},
	}
}

// Spread is by which column the rows of a table are spread where the database is many machines: all that
// changes with a card stands with it. A table that is not here is copied to every machine.
//
// scripts/cluster/citus.sql spreads them; tests hold it, and the migrated schema, against this list.
func Spread() map[string]string {
	return map[string]string{
		"cards": "id", "audit_events": "chain", "pin_sessions": "card_id", "approvals": "card_id",
		"contract_records": "card_id",
		"card_lookup":      "value", "replays": "id", "webhook_deliveries": "chain",
		"limit_leases": "id", "limit_verifications": "client_id", "limit_mismatches": "client_id",
	}
}

// Setting is a fact about the installation, written once, never back, or when something was last done.
type Setting struct {
	Key   string `gorm:"primaryKey"`
	Value string `gorm:"not null"`
}

// Sealed is what every row has that says something under a seal.
type Sealed struct {
	Version int64  `gorm:"not null"` // counts changes, from 1
	Body    string `gorm:"not null"` // JSON
	Seal    []byte `gorm:"not null"` // MAC over the row
}

// Program is a tenant with its PIN rules.
type Program struct {
	ID string `gorm:"primaryKey"`
	Sealed
}

// Client is a partner's credentials. ProgramID is empty for a client of the whole server.
type Client struct {
	ID        string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
	Sealed
}

// ZoneKey is a partner's key, wrapped. ProgramID is empty for a key that serves every program.
type ZoneKey struct {
	ID        string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
	Sealed
}

// Chain is how far an audit chain has come that is no card's: Version is the place of its newest event.
type Chain struct {
	ID string `gorm:"primaryKey"`
	Sealed
}

// Sequence is the last number that was reserved.
type Sequence struct {
	Name      string `gorm:"primaryKey"`
	ProgramID string `gorm:"primaryKey"`
	Last      int64  `gorm:"not null"`
}

// Card is one card: Details change seldom, Value with each operation on its PIN.
type Card struct {
	ID        string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
	Revision  int64  `gorm:"not null"`
	Details   string `gorm:"not null"`
	Value     string `gorm:"not null"`
	Seal      []byte `gorm:"not null"`
}

// CardLookup finds a card within its program. Slot is the card's id where cards may share the value,
// otherwise empty.
type CardLookup struct {
	Kind      string `gorm:"primaryKey"`
	Value     string `gorm:"primaryKey"`
	ProgramID string `gorm:"primaryKey"`
	Slot      string `gorm:"primaryKey"`
	CardID    string `gorm:"not null"`
}

// TableName is card_lookup.
func (CardLookup) TableName() string { return "card_lookup" }

// AuditEvent is a line of the audit trail. The database refuses to change or delete one.
type AuditEvent struct {
	Chain     string `gorm:"primaryKey"`
	Seq       int64  `gorm:"primaryKey;autoIncrement:false"`
	ID        string `gorm:"not null"`
	ProgramID string `gorm:"not null"`
	Body      string `gorm:"not null"`
	MAC       []byte `gorm:"not null"`
}

// PINSession is a one-time page for one card. ExpiresAt is in microseconds since 1970.
type PINSession struct {
	CardID    string `gorm:"primaryKey"`
	ID        string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
	ExpiresAt int64  `gorm:"not null"`
	Sealed
}

// TableName is pin_sessions.
func (PINSession) TableName() string { return "pin_sessions" }

// Approval is a second client's word on something that is done with a card's PIN. ExpiresAt is in microseconds since 1970.
type Approval struct {
	CardID    string `gorm:"primaryKey"`
	ID        string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
	ExpiresAt int64  `gorm:"not null"`
	Sealed
}

// ContractRecord is what a contract keeps of an operation on a card; ID begins with the contract's name.
type ContractRecord struct {
	CardID    string `gorm:"primaryKey"`
	ID        string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
	Sealed
}

// Replay is the record of a request that may be repeated. ExpiresAt is in microseconds since 1970.
type Replay struct {
	ID        string `gorm:"primaryKey"`
	ExpiresAt int64  `gorm:"not null"`
	Sealed
}

// WebhookEndpoint is where events are sent. ProgramID is empty for one of the whole server.
type WebhookEndpoint struct {
	ID        string `gorm:"primaryKey"`
	ProgramID string `gorm:"not null"`
	Sealed
}

// WebhookDelivery is an event that is to be sent to an endpoint, or was. Times are in microseconds since 1970.
type WebhookDelivery struct {
	Chain      string `gorm:"primaryKey"`
	EndpointID string `gorm:"primaryKey"`
	Seq        int64  `gorm:"primaryKey;autoIncrement:false"`
	EventID    string `gorm:"not null"`
	State      string `gorm:"not null"`
	Attempts   int64  `gorm:"not null"`
	DueAt      int64  `gorm:"not null"`
	CreatedAt  int64  `gorm:"not null;autoCreateTime:false"`
	FirstAt    int64  `gorm:"not null"`
	DoneAt     int64  `gorm:"not null"`
	Status     int64  `gorm:"not null"`
	Failure    string `gorm:"not null"`
}

// LimitLease is the window of a limit that is under way: how much of it processes have taken. Times are in microseconds since 1970.
type LimitLease struct {
	ID       string `gorm:"primaryKey"`
	StartsAt int64  `gorm:"not null"`
	Taken    int64  `gorm:"not null"`
	Granted  int64  `gorm:"not null"`
}

// LimitVerification counts PIN verifications of a client and BIN in a minute.
type LimitVerification struct {
	ClientID      string `gorm:"primaryKey"`
	BIN           string `gorm:"primaryKey"`
	StartsAt      int64  `gorm:"primaryKey;autoIncrement:false"`
	Verifications int64  `gorm:"not null"`
	Mismatches    int64  `gorm:"not null"`
}

// LimitMismatch is a card that had a mismatch in it.
type LimitMismatch struct {
	ClientID string `gorm:"primaryKey"`
	BIN      string `gorm:"primaryKey"`
	StartsAt int64  `gorm:"primaryKey;autoIncrement:false"`
	CardID   string `gorm:"primaryKey"`
}
