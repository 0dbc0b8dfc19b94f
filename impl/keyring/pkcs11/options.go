package pkcs11

import (
	"log/slog"
	"time"
)

// Options are what a token is opened with.
type Options struct {
	URI  URI
	PIN  func() ([]byte, error) // reads the user PIN; who asks clears it
	Log  *slog.Logger           // nil: nothing is said
	Wait time.Duration          // how long a call may take; 0: two seconds
	// Observe hears of every call: encrypt, decrypt, sign, wrap, unwrap, block, rsa, create, rotate. nil: nobody does.
	Observe func(operation string, took time.Duration, err error)
}

// defaults fills in what was left out.
func (o *Options) defaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wait == 0 {
		o.Wait = 2 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration, error) {}
	}
}
