//go:build cgo

package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"
	"golang.org/x/sync/singleflight"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Token is a token that is logged in to, and logged in to again when it was away. It is safe for concurrent use and
// prints as ****. A process has one for each module.
type Token struct {
	keyring.Hidden
	uri  URI
	pin  func() ([]byte, error)
	log  *slog.Logger
	wait time.Duration
	seen func(operation string, took time.Duration, err error)

	module     *p11.Ctx
	connecting singleflight.Group
	inside     atomic.Int64 // calls that the module has not come back from

	mu      sync.Mutex
	live    *connection         // nil: there is none
	failed  time.Time           // when a connection could not be made, zero after one that could
	refused error               // the login's refusal, which is final
	ids     map[string][]string // of the keys by name, the newest first
}

// Open loads the module, finds the token and logs in, once. Whatever is in the way, the error says it to whoever starts
// the server.
func Open(o Options) (*Token, error) {
	o.defaults()
	t := &Token{uri: o.URI, pin: o.PIN, log: o.Log, wait: o.Wait, seen: o.Observe, module: p11.New(o.URI.Module)}
	if t.module == nil {
		return nil, fmt.Errorf("the PKCS#11 module %s cannot be loaded: check module-path in --keys", o.URI.Module)
	}
	c, err := t.connect()
	if err != nil {
		t.module.Destroy()
		return nil, err
	}
	t.live = c
	return t, nil
}

// Close logs out and lets the module go.
func (t *Token) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = errors.New("the token was closed")
	if t.live != nil {
		t.live.close()
		t.live = nil
	}
	if t.inside.Load() > 0 {
		return nil // it must not be taken from under a call
	}
	err := t.module.Finalize()
	t.module.Destroy()
	return err
}

// connection is the sessions of one login, and what was found by it. Handles mean nothing in another.
type connection struct {
	t    *Token
	idle chan p11.SessionHandle
	gone atomic.Bool // its sessions are worth nothing any more

	mu       sync.Mutex
	keys     map[string]versions
	scanned  time.Time
	partners partnerKeys
}

// do has a session do work. It is done again with a new connection where the old one turns out to be lost. Unavailable:
// there is no token, or it does not answer in time. work is left alone then, and must share nothing.
func (t *Token) do(operation string, work func(c *connection, s p11.SessionHandle) ([]byte, error)) (_ []byte, err error) {
	began := time.Now()
	defer func() { t.seen(operation, time.Since(began), err) }()
	for again := true; ; again = false {
		c, err := t.connection()
		if err != nil {
			return nil, unavailable(err)
		}
		out, err := c.run(work)
		if !lost(err) {
			return out, err
		}
		t.drop(c, err)
		if !again || errors.Is(err, errTime) {
			return nil, unavailable(err)
		}
	}
}

// errTime is a token that takes too long. The call that it took too long for may still come back.
var errTime = errors.New("pkcs11: the token does not answer in time")

func unavailable(cause error) error { return &pin.Error{Code: pin.Unavailable, Err: cause} }

// run has an idle session do work, in the time that there is.
func (c *connection) run(work func(c *connection, s p11.SessionHandle) ([]byte, error)) ([]byte, error) {
	deadline := time.NewTimer(c.t.wait)
	defer deadline.Stop()
	var s p11.SessionHandle
	select {
	case s = <-c.idle:
	default:
		select {
		case s = <-c.idle:
		case <-deadline.C:
			return nil, unavailable(errors.New("pkcs11: all sessions are busy")) // but not lost
		}
	}
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	c.t.inside.Add(1)
	go func() {
		out, err := work(c, s)
		c.t.inside.Add(-1)
		c.put(s)
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		return r.out, r.err
	case <-deadline.C:
		return nil, errTime
	}
}

// put gives a session back.
func (c *connection) put(s p11.SessionHandle) {
	c.idle <- s // as long as all of its sessions
	if c.gone.Load() {
		c.close()
	}
}

// close closes the sessions that are idle; the others are when they are given back.
func (c *connection) close() {
	c.gone.Store(true)
	for {
		select {
		case s := <-c.idle:
			_ = c.t.module.CloseSession(s) // which may be gone already
		default:
			return
		}
	}
}

// connection is the one at work, made if there is none. It waits no longer than a call may take, and after one that could
// not be made nobody tries for a while.
func (t *Token) connection() (*connection, error) {
	t.mu.Lock()
	c, refused, failed := t.live, t.refused, t.failed
	t.mu.Unlock()
	switch {
	case refused != nil:
		return nil, refused
	case c != nil:
		return c, nil
	case time.Since(failed) < pause:
		return nil, errGone
	}
	made := t.connecting.DoChan("", t.reconnect)
	deadline := time.NewTimer(t.wait)
	defer deadline.Stop()
	select {
	case r := <-made:
		c, _ = r.Val.(*connection)
		return c, r.Err
	case <-deadline.C:
		return nil, errTime
	}
}

// pause is how long a token that is not there is left alone.
const pause = 250 * time.Millisecond

var errGone = errors.New("pkcs11: the token is not there")

// reconnect makes a connection and has everybody use it.
func (t *Token) reconnect() (any, error) {
	t.mu.Lock()
	c := t.live
	t.mu.Unlock()
	if c != nil { // somebody else has been here
		return c, nil
	}
	c, err := t.connect()
	if err != nil && !errors.As(err, new(loginError)) && t.inside.Load() == 0 {
		// Some modules find a token that came back, or a server that was started again, only from their own beginning.
		_ = t.module.Finalize()
		c, err = t.connect()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed = time.Now()
		if final, ok := errors.AsType[loginError](err); ok {
			t.refused = final
			t.log.Error("the token refuses its PIN: it is not tried again until the server is started anew", "error", err)
		}
		return nil, err
	}
	t.live, t.failed = c, time.Time{}
	t.log.Info("the token is there again")
	return c, nil
}

// drop has nobody use the connection any more.
func (t *Token) drop(c *connection, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == c {
		t.live = nil
		t.log.Warn("the token is lost", "error", cause)
	}
	c.close()
}

// connect finds the token, logs in and finds the keys.
func (t *Token) connect() (*connection, error) {
	if err := t.module.Initialize(); err != nil && !is(err, p11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return nil, fmt.Errorf("the PKCS#11 module %s does not start: %w", t.uri.Module, err)
	}
	slot, info, err := t.find()
	if err != nil {
		return nil, err
	}
	c := &connection{t: t, idle: make(chan p11.SessionHandle, t.uri.Sessions)}
	for range t.uri.Sessions {
		s, err := t.module.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if is(err, p11.CKR_SESSION_COUNT) && len(c.idle) > 0 {
			break // so many it has
		}
		if err != nil {
			c.close()
			return nil, fmt.Errorf("the token %q opens no session: %w", info.Label, err)
		}
		c.idle <- s
	}
	s := <-c.idle
	c.idle <- s
	if err := t.login(s, info); err != nil {
		c.close()
		return nil, err
	}
	if err := c.scan(s); err != nil {
		c.close()
		return nil, fmt.Errorf("the keys of the token %q cannot be listed: %w", info.Label, err)
	}
	c.partners = newPartnerKeys(c)
	return c, nil
}

// find is the slot of the token of the URI.
func (t *Token) find() (uint, p11.TokenInfo, error) {
	slots, err := t.module.GetSlotList(true)
	if err != nil {
		return 0, p11.TokenInfo{}, fmt.Errorf("the PKCS#11 module lists no slots: %w", err)
	}
	var labels []string
	for _, slot := range slots {
		info, err := t.module.GetTokenInfo(slot)
		if err != nil || info.Flags&p11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		if t.uri.fits(slot, info) {
			return slot, info, nil
		}
		labels = append(labels, fmt.Sprintf("%q", info.Label))
	}
	there := "none"
	if len(labels) > 0 {
		there = strings.Join(labels, ", ")
	}
	return 0, p11.TokenInfo{}, fmt.Errorf("there is no token %s in the slots of %s: check --keys, and that the server may use the token (there: %s)", t.uri.token(), t.uri.Module, there)
}

func (u URI) fits(slot uint, info p11.TokenInfo) bool {
	is := func(want, have string) bool { return want == "" || want == strings.TrimRight(have, " \x00") }
	return is(u.Token, info.Label) && is(u.Manufacturer, info.ManufacturerID) && is(u.Model, info.Model) &&
		is(u.Serial, info.SerialNumber) && (u.Slot == nil || *u.Slot == slot)
}

func (u URI) token() string {
	switch {
	case u.Token != "":
		return fmt.Sprintf("%q", u.Token)
	case u.Serial != "":
		return "with that serial number"
	}
	return "in that slot"
}

// loginError is a login that was refused. Nobody tries again: tokens lock.
type loginError string

func (e loginError) Error() string { return string(e) }

func (t *Token) login(s p11.SessionHandle, info p11.TokenInfo) error {
	label := fmt.Sprintf("%q", info.Label)
	switch {
	case info.Flags&p11.CKF_USER_PIN_LOCKED != 0:
		return loginError("the token " + label + " is locked: its security officer must set a new user PIN")
	case info.Flags&p11.CKF_USER_PIN_FINAL_TRY != 0:
		return loginError("the token " + label + " locks with one more wrong PIN, so this server does not try: log in to it once by another program with the right PIN")
	}
	code, err := t.pin()
	if err != nil {
		return err
	}
	defer clear(code)
	err = t.module.Login(s, p11.CKU_USER, string(bytes.TrimRight(code, "\r\n"))) // a file's end of line is none of it
	switch {
	case err == nil || is(err, p11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case is(err, p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE):
		return loginError("the token " + label + " refuses the PIN of pin-source in --keys; it was tried once, and too many wrong PINs lock a token")
	case is(err, p11.CKR_PIN_LOCKED, p11.CKR_PIN_EXPIRED, p11.CKR_USER_PIN_NOT_INITIALIZED):
		return loginError("the token " + label + " takes no user PIN now (it is locked, expired or was never set): its security officer must set one")
	}
	return fmt.Errorf("the token %s takes no login: %w", label, err)
}

func is(err error, codes ...p11.Error) bool {
	var e p11.Error
	if !errors.As(err, &e) {
		return false
	}
	return slices.Contains(codes, e)
}

// lost tells whether an error is about the connection and not about what it was asked.
func lost(err error) bool {
	return errors.Is(err, errTime) || is(err,
		p11.CKR_CRYPTOKI_NOT_INITIALIZED, p11.CKR_DEVICE_ERROR, p11.CKR_DEVICE_MEMORY, p11.CKR_DEVICE_REMOVED,
		p11.CKR_FUNCTION_CANCELED, p11.CKR_FUNCTION_FAILED, p11.CKR_GENERAL_ERROR, p11.CKR_HOST_MEMORY, p11.CKR_KEY_HANDLE_INVALID,
		p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_OPERATION_ACTIVE, p11.CKR_OPERATION_NOT_INITIALIZED, p11.CKR_SESSION_CLOSED,
		p11.CKR_SESSION_COUNT, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SLOT_ID_INVALID, p11.CKR_TOKEN_NOT_PRESENT,
		p11.CKR_TOKEN_NOT_RECOGNIZED, p11.CKR_USER_NOT_LOGGED_IN, p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID,
		p11.CKR_WRAPPING_KEY_HANDLE_INVALID, p11.CKR_FUNCTION_NOT_SUPPORTED)
}
