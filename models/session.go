package models

import "time"

// PINSession lets a cardholder enter a PIN once. TokenHash and PrivateKey are null before the link's
// secret was exchanged and after the session has ended.
type PINSession struct {
	ID            string `gorm:"primaryKey"`
	ProgramID     string `gorm:"not null"`
	CardID        string `gorm:"not null"`
	ClientID      string `gorm:"not null"`
	Action        string `gorm:"not null"`
	RequestID     string `gorm:"not null"`
	State         string `gorm:"not null"`
	SecretHash    []byte `gorm:"not null"`
	ExchangesLeft int    `gorm:"not null"`
	TokenHash     []byte
	PrivateKey    []byte
	PINVersion    int64     `gorm:"not null"`
	CreatedAt     time.Time `gorm:"not null;autoCreateTime:false"`
	ExpiresAt     time.Time `gorm:"not null"`
}

// TableName is pin_sessions.
func (PINSession) TableName() string { return "pin_sessions" }
