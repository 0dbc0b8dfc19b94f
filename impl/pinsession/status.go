package pinsession

import (
	"context"
	"time"

	"pinvault/impl/pin"
)

// Status is how a session fares, as whoever asked for it may know it.
type Status string

// How a session can fare.
const (
	Opened    Status = "opened"    // its link was handed out
	Exchanged Status = "exchanged" // a browser has opened the link
	Completed Status = "completed" // the PIN is set
	Failed    Status = "failed"    // the PIN was blocked on the way, or the link's secret guessed at
	Expired   Status = "expired"   // its time is over
)

// StatusOf tells how a session fares at a time. What has ended stays as it ended, whatever the time.
func StatusOf(s pin.Session, now time.Time) Status {
	switch {
	case s.State == pin.SessionUsed:
		return Completed
	case s.State == pin.SessionFailed, s.State == pin.SessionOpen && s.ExchangesLeft == 0:
		return Failed
	case s.State == pin.SessionExpired, s.Expired(now):
		return Expired
	case s.State == pin.SessionOpen:
		return Opened
	}
	return Exchanged
}

// Status finds a session in the caller's reach, and tells how it fares: NotFound.
func (s *Sessions) Status(ctx context.Context, id string) (pin.Session, Status, error) {
	session, err := s.vault.Session(ctx, id)
	if err == nil && !pin.CallerFrom(ctx).Reaches(session.ProgramID) {
		err = &pin.Error{Code: pin.NotFound}
	}
	if err != nil {
		return pin.Session{}, "", err
	}
	return session, StatusOf(session, s.now()), nil
}
