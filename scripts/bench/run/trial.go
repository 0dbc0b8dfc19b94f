package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"pinvault/scripts/bench/cards"
)

// call is an operation that both programs or PinVault alone answer.
type call struct {
	name     string // call.lua's
	what     string // the table's
	contract string // whose token it needs
	against  string // the bare program's call that it is held against
	target   float64
}

var calls = []call{
	{"status", "PIN status", "thredd", "status", 0.60},
	{"set", "PIN set", "thredd", "set", 0.85},
	{"verify", "PIN verification by block", "issuer", "set", 0.80},
}

// targetAt is the number of connections at which the targets are to be reached.
const targetAt = 16

// What the trial sends of each call: some first, so that statements are prepared and caches filled.
const (
	trialWarm    = 20
	trialCounted = 100
)

// trips are round trips to the database a call, by program and call.
type trips map[string]float64

// trial sends every call some times, one after the other, holds the replies against what they must be, and
// counts the round trips to the database, for which it stands between. Both programs are ended again.
func (b *bench) trial(ctx context.Context) (counted trips, err error) {
	counted = trips{}
	all, err := cards.Read(b.cards)
	if err != nil {
		return nil, err
	}
	for _, p := range []program{b.floor, b.vault} {
		say("trying %s", p.name)
		if err := b.try(ctx, p, all, counted); err != nil {
			return nil, err
		}
	}
	return counted, nil
}

func (b *bench) try(ctx context.Context, p program, all []cards.Card, counted trips) (err error) {
	between, err := listenBetween(ctx, p.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, between.Close()) }()
	r, err := p.start(ctx, b.dir, between.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if p.name == b.vault.name {
		if b.tokens, err = tokens(ctx, r.base); err != nil {
			return err
		}
	}
	for _, c := range calls {
		if p.name == b.floor.name && c.against != c.name {
			continue
		}
		var before int64
		for i := range trialWarm + trialCounted {
			if i == trialWarm {
				before = between.trips.Load()
			}
			if err := b.send(ctx, r.base, c, all[i*len(all)/(trialWarm+trialCounted)]); err != nil {
				return fmt.Errorf("%s: %s: %w", p.name, c.what, err)
			}
		}
		counted[p.name+" "+c.name] = float64(between.trips.Load()-before) / trialCounted
	}
	return nil
}

// tokens are bearer tokens by contract.
func tokens(ctx context.Context, base string) (map[string]string, error) {
	all := map[string]string{}
	for contract, path := range map[string]string{"thredd": "/connect/token", "issuer": "/oauth2/token", "creditplus": "/oauth2/token", "networkintl": "/oauth2/token"} { //nolint:gosec // paths
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {contract + "-bench"}, "client_secret": {"bench-secret"}}
		reply, err := do(ctx, http.MethodPost, base+path, "application/x-www-form-urlencoded", form.Encode(), "")
		if err != nil {
			return nil, fmt.Errorf("a token for %s: %w", contract, err)
		}
		var token struct {
			Access string `json:"access_token"`
		}
		if err := json.Unmarshal(reply, &token); err != nil || token.Access == "" {
			return nil, fmt.Errorf("a token for %s: there is none in the reply", contract)
		}
		all[contract] = token.Access
	}
	return all, nil
}

// changeBody is a change of a PIN to itself. What tells a request from others, its msg_id, is put in.
const changeBody = `{"NISrvRequest":{"request_card_pin_change":{"header":{"msg_id":"%s","msg_type":"TRANSACTION","msg_function":"REQ_CARD_PIN_CHANGE",` +
	`"src_application":"BENCH","target_application":"PCMS","timestamp":"2026-11-26T12:00:00Z","bank_id":"NIC"},` +
	`"body":{"card_number":"%s","card_sequence_number":"01","card_expiry_date":"3112","encrypted_old_pin":"%[3]s","encrypted_new_pin":"%[3]s",` +
	`"encryption_method":"SYMMETRIC_ENC","encryption_key_id":"zpk-bench"}}}}`

// send makes one call for one card, and refuses a reply that is not what a card with all its tries gets.
func (b *bench) send(ctx context.Context, base string, c call, of cards.Card) error {
	method, path, body, want := http.MethodGet, "/api/v1/cards/"+of.Token+"/pin/status", "", `{"remainingTries":"3","status":"Unblocked"}`
	switch c.name {
	case "set":
		method, path, body, want = http.MethodPost, "/api/v1/cards/"+of.Token+"/pin", `{"pin":"`+of.PIN+`"}`, ""
	case "verify":
		method, path = http.MethodPost, "/issuer/v1/cards/"+of.ID+"/pin/verifications"
		body, want = `{"pinBlock":"`+of.Block+`","format":"ISO-0","keyId":"zpk-bench"}`, `{"remainingTries":3,"result":"match"}`
	case "change":
		method, path = http.MethodPost, "/CardServices/Transaction/V1/CardPinChange"
		body, want = fmt.Sprintf(changeBody, rand.Text()[:12], of.PAN, of.Block), "000"
	}
	reply, err := do(ctx, method, base+path, "application/json", body, b.tokens[c.contract])
	if err != nil {
		return err
	}
	got := sorted(reply)
	if c.name == "change" { // the rest of it is the request's, and times
		_, code, _ := strings.Cut(got, `"error_code":"`)
		got, _, _ = strings.Cut(code, `"`)
	}
	if got != want {
		return &otherReplyError{got, want}
	}
	return nil
}

// otherReplyError is a success that is not the one that was due.
type otherReplyError struct{ got, want string }

func (e *otherReplyError) Error() string {
	return fmt.Sprintf("the reply is %q and should be %q", e.got, e.want)
}

// sorted is JSON with its members in order of their names.
func sorted(text []byte) string {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return string(text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return string(text)
	}
	return string(out)
}

// do sends a request and returns the body of a reply that is a success.
func do(ctx context.Context, method, url, contentType, body, token string) (reply []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return success(r)
}

// success sends a request and returns the body of a reply that is one.
func success(r *http.Request) (reply []byte, err error) {
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, got.Body.Close()) }()
	reply, err = io.ReadAll(got.Body)
	if err == nil && got.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", got.Status, reply)
	}
	return reply, err
}

// between stands between a program and its database and counts how often the database has said that it is
// ready for the next query, which is once a round trip.
type between struct {
	net.Listener
	url   string
	trips atomic.Int64
}

func listenBetween(ctx context.Context, database string) (*between, error) {
	u, err := url.Parse(database)
	if err != nil {
		return nil, errors.New("the database's URL is none")
	}
	server := u.Host
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.Host = l.Addr().String()
	b := &between{Listener: l, url: u.String()}
	go func() {
		for {
			program, err := l.Accept()
			if err != nil {
				return // closed
			}
			go b.join(ctx, program, server)
		}
	}()
	return b, nil
}

// join hands on what the two say until one of them ends.
func (b *between) join(ctx context.Context, program net.Conn, server string) {
	defer func() { _ = program.Close() }()
	database, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	go func() {
		defer func() { _ = database.Close() }()
		_, _ = io.Copy(database, program)
	}()
	_ = b.listen(program, database)
}

// listen hands on messages of the database: a type, a length that counts itself, and the rest (PostgreSQL,
// Message Formats). There is no TLS on the loopback.
func (b *between) listen(program io.Writer, database io.Reader) error {
	in := bufio.NewReader(database)
	var message bytes.Buffer
	for {
		message.Reset()
		if _, err := io.CopyN(&message, in, 5); err != nil {
			return err
		}
		head := message.Bytes()
		if head[0] == 'Z' {
			b.trips.Add(1)
		}
		if _, err := io.CopyN(&message, in, int64(binary.BigEndian.Uint32(head[1:]))-4); err != nil {
			return err
		}
		if _, err := program.Write(message.Bytes()); err != nil {
			return err
		}
	}
}
