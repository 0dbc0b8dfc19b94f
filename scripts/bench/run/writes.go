package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinvault/impl/keyring"
)

// Every contract's write beside Thredd's PIN set, on cards that all of them find. What is sent is sealed by scripts/bench/load
// before each round, so that nobody's sealing is measured but the server's. No request is sent twice: what was seen before is answered
// without a write.

// write is a contract's.
type write struct {
	requests string // scripts/bench/load's name
	what     string // the table's
	headers  func(tokens map[string]string) string
	succeeds func(reply []byte) error
	target   float64 // of Thredd's set; 0 where arithmetic is against it
}

const jsonBody = "Content-Type: application/json\r\n"

func bearer(contract, contentType string) func(map[string]string) string {
	return func(tokens map[string]string) string {
		return "Authorization: Bearer " + tokens[contract] + "\r\n" + contentType
	}
}

func headers(text string) func(map[string]string) string {
	return func(map[string]string) string { return text }
}

// rsaWrite is the one whose work arithmetic bounds.
const rsaWrite = "rsa"

var writes = []write{
	{"accosa", "Accosa, Reset PIN (AES-192-CBC token in and out)", headers("x-api-key: accosa-bench.bench-secret\r\nclientId: 2000\r\nbankId: 7000\r\n" +
		"entityId: 100\r\nsecureCode: bench-code\r\n" + jsonBody), accosaDone, 0.8},
	{"creditplus", "Credit+, Reset PIN Retry Counter (JWE, `dir` and A256GCM)", bearer("creditplus", "Content-Type: application/jose\r\n"), says("code", "OK"), 0.8},
	{"tdes", "Network International, Change PIN (two TDES blocks)", bearer("networkintl", jsonBody), networkDone, 0.8},
	{rsaWrite, "Network International, Change PIN (two RSA blocks, 2048 bits)", bearer("networkintl", jsonBody), networkDone, 0},
	{"hosted", "Hosted page, the new PIN of a session (JWE, `ECDH-ES` and A256GCM)", headers(jsonBody), empty, 0.8},
}

// says is of replies that have a member with a value.
func says(name, value string) func([]byte) error {
	return func(reply []byte) error {
		var members map[string]any
		if err := json.Unmarshal(reply, &members); err != nil || members[name] != value {
			return &otherReplyError{string(reply), name + " " + value}
		}
		return nil
	}
}

func empty(reply []byte) error {
	if len(reply) > 0 {
		return &otherReplyError{string(reply), ""}
	}
	return nil
}

// accosaDone opens a reply's token, under the key of scripts/bench/load.
func accosaDone(reply []byte) error {
	var sealed struct{ Token string }
	raw, err := hex.DecodeString("404142434445464748494A4B4C4D4E4F5051525354555657")
	if err := errors.Join(err, json.Unmarshal(reply, &sealed)); err != nil {
		return err
	}
	key, err := keyring.NewTokenKey(raw, nil)
	if err != nil {
		return err
	}
	text, _ := key.Open(sealed.Token)
	return says("responseCode", "00")(text)
}

func networkDone(reply []byte) error {
	var r struct {
		Response struct {
			Change struct {
				Details json.RawMessage `json:"exception_details"`
			} `json:"response_card_pin_change"`
		} `json:"NISrvResponse"`
	}
	if err := json.Unmarshal(reply, &r); err != nil {
		return err
	}
	return says("status", "S")(r.Response.Change.Details)
}

// written is what was measured of the writes, round by round in calls a second.
type written struct {
	bare      []float64   // the bare program's PIN set
	sets      [][]float64 // Thredd's, beside each write
	writes    [][]float64 // of each
	trips     []float64   // round trips to the database a call
	operation time.Duration
}

// set is Thredd's PIN set, of all rounds.
func (w written) set() float64 { return median(slices.Concat(w.sets...)) }

// partners is how many cards all contracts find. A session of the hosted page needs one of its own for a round.
func (s settings) partners() int { return max(10_000, 5_000*int(s.round.Seconds())) }

// seal has requests sealed that nobody has had before, and returns the file.
func (b *bench) seal(ctx context.Context, w write, count int) (string, error) {
	file := b.dir + "/requests.txt"
	err := command(ctx, b.vault.env, b.dir+"/load", "--database-url", with(b.vault.url, "synchronous_commit", "off"), "--requests", w.requests,
		"--from", strconv.Itoa(b.sealed), "--count", strconv.Itoa(count), "--partners-out", b.partnerCards, "--out", file)
	b.sealed += count
	return file, err
}

// tryWrites sends some of each, holds the replies against what they must be, and counts the round trips to the database.
func (b *bench) tryWrites(ctx context.Context) (trips []float64, err error) {
	say("trying the contracts' writes")
	between, err := listenBetween(ctx, b.vault.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, between.Close()) }()
	r, err := b.vault.start(ctx, b.dir, between.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if b.tokens, err = tokens(ctx, r.base); err != nil {
		return nil, err
	}
	trips = make([]float64, len(writes))
	for i, w := range writes {
		if trips[i], err = b.tryWrite(ctx, w, r.base, between); err != nil {
			return nil, fmt.Errorf("%s: %w", w.what, err)
		}
	}
	return trips, nil
}

func (b *bench) tryWrite(ctx context.Context, w write, base string, between *between) (trips float64, err error) {
	file, err := b.seal(ctx, w, trialWarm+trialCounted)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(file) //nolint:gosec // a file that was written just now
	if err != nil {
		return 0, err
	}
	var before int64
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i == trialWarm {
			before = between.trips.Load()
		}
		path, body, _ := strings.Cut(line, " ")
		reply, err := post(ctx, base+path, w.headers(b.tokens), body)
		if err == nil {
			err = w.succeeds(reply)
		}
		if err != nil {
			return 0, err
		}
	}
	return float64(between.trips.Load()-before) / trialCounted, nil
}

// post is do with headers as they are written on the wire.
func post(ctx context.Context, url, headers, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(strings.TrimSpace(headers), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return success(r)
}

// measureWrites drives every contract's write, each beside Thredd's set, at the number of connections of the targets.
func (b *bench) measureWrites(ctx context.Context) (all written, err error) {
	if all.trips, err = b.tryWrites(ctx); err != nil {
		return written{}, err
	}
	if all.operation, err = privateKeyOperation(); err != nil {
		return written{}, err
	}
	if err := b.settle(ctx); err != nil {
		return written{}, err
	}
	floor, err := b.floor.start(ctx, b.dir, b.floor.url)
	if err != nil {
		return written{}, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	vault, err := b.vault.start(ctx, b.dir, b.vault.url)
	if err != nil {
		return written{}, err
	}
	defer func() { err = errors.Join(err, vault.stop()) }()
	all.sets, all.writes = make([][]float64, len(writes)), make([][]float64, len(writes))
	for round := range b.rounds + 1 {
		one, err := b.writesRound(ctx, floor.base, vault.base, round)
		if err != nil {
			return written{}, err
		}
		var text strings.Builder
		for i, w := range writes {
			fmt.Fprintf(&text, "  set %.0f %s %.0f", one.sets[i][0], w.requests, one.writes[i][0])
		}
		say("writes, round %d of %d:  bare %.0f%s", round, b.rounds, one.bare[0], text.String())
		if round == 0 {
			continue // to warm up
		}
		all.bare = append(all.bare, one.bare...)
		for i := range writes {
			all.sets[i] = append(all.sets[i], one.sets[i]...)
			all.writes[i] = append(all.writes[i], one.writes[i]...)
		}
	}
	return all, b.unharmed(ctx, vault, b.partnerCards)
}

// writesRound measures everything once: each write beside Thredd's set, by turns the one first and the other, since a machine's next second is
// more like this one than its next minute.
func (b *bench) writesRound(ctx context.Context, floor, vault string, round int) (one written, err error) {
	set := calls[1]
	bare, err := b.drive(ctx, floor, set, b.cards, targetAt, round, b.settings.round)
	if err != nil {
		return one, fmt.Errorf("bare program, %s: %w", set.what, err)
	}
	one.bare = []float64{bare}
	for _, w := range writes {
		ours, theirs, err := b.beside(ctx, vault, w, round, int(bare*b.settings.round.Seconds()))
		if err != nil {
			return one, fmt.Errorf("%s: %w", w.what, err)
		}
		one.sets, one.writes = append(one.sets, []float64{ours}), append(one.writes, []float64{theirs})
	}
	return one, nil
}

// beside drives Thredd's set, on cards that the write does not touch, and the write, by requests that are sealed before: as many as the bare
// program's set would have made, and more where they were too few.
func (b *bench) beside(ctx context.Context, base string, w write, round, count int) (set, rate float64, err error) {
	for ; ; count *= 2 {
		file, err := b.seal(ctx, w, min(count, b.partners()))
		if err != nil {
			return 0, 0, err
		}
		if err := execute(ctx, b.vault.url, flushed); err != nil {
			return 0, 0, err
		}
		enough := true
		steps := []func() error{
			func() (err error) {
				set, err = b.drive(ctx, base, calls[1], b.cards, targetAt, round, b.settings.round)
				return err
			},
			func() (err error) {
				rate, enough, err = b.driveWrite(ctx, base, w, file)
				return err
			},
		}
		if round%2 == 0 {
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return 0, 0, err
			}
		}
		if enough || count > b.partners() {
			return set, rate, nil
		}
	}
}

// flushed waits until what was sealed stands on the disk: a transaction that waits for its own place in the log waits for all before.
const flushed = "SELECT pg_logical_emit_message(true, 'bench', '')"

// driveWrite sends what was sealed, and tells whether it was enough.
func (b *bench) driveWrite(ctx context.Context, base string, w write, file string) (calls float64, enough bool, err error) {
	var out bytes.Buffer
	c := child(ctx, []string{"HEADERS=" + w.headers(b.tokens)}, "wrk", "--threads", "1", "--connections", strconv.Itoa(targetAt),
		"--duration", strconv.Itoa(int(b.settings.round.Seconds()))+"s", "--timeout", "10s", "--script", "scripts/bench/sealed.lua", base, "--", file)
	c.Stdout, c.Stderr = &out, os.Stderr
	if err := c.Run(); err != nil {
		return 0, false, fmt.Errorf("wrk: %w\n%s", err, out.Bytes())
	}
	calls, err = rate(out.Bytes())
	return calls, !bytes.Contains(out.Bytes(), []byte("too few")), err
}

// privateKeyOperation is what one of 2048 bits takes a core.
func privateKeyOperation() (time.Duration, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyring.MinRSA)
	if err != nil {
		return 0, err
	}
	//lint:ignore SA1019 the contract has this padding
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, make([]byte, 8)) //nolint:staticcheck // see above
	if err != nil {
		return 0, err
	}
	const times = 300
	began := time.Now()
	for range times {
		//lint:ignore SA1019 see above
		if _, err := rsa.DecryptPKCS1v15(rand.Reader, key, sealed); err != nil { //nolint:staticcheck // see above
			return 0, err
		}
	}
	return time.Since(began) / times, nil
}

// bound is how many calls a second there can be where each needs two private-key operations besides what it needs otherwise.
func bound(otherwise float64, operation time.Duration, cores int) float64 {
	return 1 / (1/otherwise + 2*operation.Seconds()/float64(cores))
}

// writesSection is what is kept of them, in Markdown.
func (a about) writesSection(s settings, all written) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s, every contract's write\n\n%s", s.label, a.where())
	fmt.Fprintf(&b, "%d connections, %d cards that every contract finds beside %d others, medians of %d rounds of %s, each write beside Thredd's set; in\n"+
		"brackets the ratios of single rounds. The bare program's set made %.0f calls/s, Thredd's set %.0f, %.2f of it.\n\n", targetAt, s.partners(), s.cards, s.rounds, s.round,
		median(all.bare), all.set(), all.set()/median(all.bare))
	b.WriteString("| write | calls/s | of Thredd's set | of the bare program's | round trips | target |\n|---|---|---|---|---|---|\n")
	otherwise := 0.0
	for i, w := range writes {
		r := result{bare: all.sets[i], vault: all.writes[i]}
		middle, low, high := r.ratio()
		target := verdict(middle, w.target)
		switch w.requests {
		case rsaWrite:
			target = "by its arithmetic"
		case "tdes":
			otherwise = median(all.writes[i])
		}
		fmt.Fprintf(&b, "| %s | %.0f | %.2f (%.2f to %.2f) | %.2f | %s | %s |\n", w.what, median(all.writes[i]), middle, low, high,
			median(all.writes[i])/median(all.bare), figure(all.trips[i]), target)
	}
	most := bound(otherwise, all.operation, runtime.NumCPU())
	fmt.Fprintf(&b, "\nUnder RSA the server works twice with a private key of 2048 bits, which no other contract does: %.2f ms of a core each, measured beside.\n"+
		"With the time of a call under TDES that leaves %.0f calls/s of %d cores, %.2f of Thredd's set.\n", all.operation.Seconds()*1000, most,
		runtime.NumCPU(), math.Round(most)/all.set())
	return b.String()
}

func verdict(measured, target float64) string {
	if measured >= target {
		return fmt.Sprintf("≥ %.2f, met", target)
	}
	return fmt.Sprintf("≥ %.2f, missed", target)
}
