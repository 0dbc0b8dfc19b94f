package models

import "time"

// ServiceRequest is a line of the helpdesk's log.
type ServiceRequest struct {
	Number      string    `gorm:"primaryKey"`
	ProgramID   string    `gorm:"not null"`
	CardID      string    `gorm:"not null"`
	ClientID    string    `gorm:"not null"`
	Contract    string    `gorm:"not null"`
	Version     string    `gorm:"not null"`
	ServiceCode string    `gorm:"not null"`
	Notes       string    `gorm:"not null"`
	Source      string    `gorm:"not null"`
	LoggedAt    time.Time `gorm:"not null"`
}
