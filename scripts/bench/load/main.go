// Command load fills a migrated database of a production server with what the load comparison needs: a
// program that refuses no PIN and lets them be read back, a client of Thredd's contract, one of Network International's, one of the
// issuer API, a zone PIN key, and cards. A production server has no first client, so these come through the vault.
//
// The keyset is that of the server, PINVAULT_KEYSET under PINVAULT_MASTER_KEY. What the callers need to
// know of the cards goes to a file, a card a line: public token, card id, PIN, and the PIN as a block of
// format 0 under the zone PIN key, and PAN. Clients' secrets and the key are fixed, and good for nothing else.
//
//	go run ./scripts/bench/load --database-url postgres://… --cards 100000 --out cards.txt
//
// With --cards 0 it makes everything but cards, and prints the program's id. Cards that `pinvault import` is to make come from
// --rows, as CSV on standard output; with --sample it writes down so many of them for the callers instead:
//
//	go run ./scripts/bench/load --rows 1-10000 --program ID | pinvault import --format csv -
//	go run ./scripts/bench/load --rows 1-10000 --sample 5000 --out cards.txt
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"pinvault/impl/app/apptest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store"
)

func main() {
	url := flag.String("database-url", "", "the server's database, as pinvault serve takes it")
	cards := flag.Int("cards", 100_000, "how many cards to make; their public tokens follow 100000000")
	workers := flag.Int("workers", 16, "how many cards are made at once")
	out := flag.String("out", "cards.txt", "where the cards are written down")
	rows := flag.String("rows", "", "write the rows of these cards for an import, such as 1-10000, and make none")
	program := flag.String("program", "", "the program of --rows")
	sample := flag.Int("sample", 0, "write down so many cards of --rows in place of rows")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *rows == "" {
		err = run(ctx, *url, *cards, *workers, *out)
	} else {
		err = portfolio(*rows, *program, *sample, *out)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// What the callers know of the clients and of the zone PIN key. The key is that of the sandbox.
const (
	threddClient  = "thredd-bench"
	issuerClient  = "issuer-bench"
	networkClient = "networkintl-bench"
	secret        = "bench-secret"
	zoneKey       = "zpk-bench"
)

var zoneKeyBytes = []byte{0xE8, 0xDD, 0x93, 0xB8, 0xAF, 0x13, 0x99, 0x9C, 0x76, 0x44, 0xC0, 0xFE, 0x11, 0xF5, 0xD2, 0xA7}

func run(ctx context.Context, url string, cards, workers int, out string) (err error) {
	ks, err := keyset()
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, url, store.Options{MaxConns: workers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ring := keyring.Open(ks, db, nil)
	vault := pin.NewVault(db, ring, nil, nil)
	vault.GrantBy(func(_, scope string) (string, bool) { return scope, true }) // to an operator, who needs none
	ctx = pin.WithCaller(ctx, pin.Operator("bench"))

	program, err := surroundings(ctx, vault, ring)
	if err != nil {
		return err
	}
	if cards == 0 {
		_, err = fmt.Fprintln(os.Stdout, program)
		return err
	}
	made := make([]card, cards)
	if err := fill(ctx, vault, program, made, workers); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f, made)
}

// keyset is the server's.
func keyset() (*keyring.Keyset, error) {
	master, err := keyring.ParseMasterKey([]byte(os.Getenv("PINVAULT_MASTER_KEY")))
	if err != nil {
		return nil, err
	}
	defer clear(master)
	kek, err := keyring.MasterKey(master)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(os.Getenv("PINVAULT_KEYSET")) //nolint:gosec // whoever starts it says where its own file is
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	return keyring.Read(f, kek)
}

// surroundings makes program, clients and zone PIN key, and returns the program's id.
func surroundings(ctx context.Context, vault *pin.Vault, ring *keyring.Ring) (string, error) {
	p := pin.NewProgram("Load comparison")
	p.Policy, p.RetrievalAllowed = pin.PolicyOff, true
	p, err := vault.CreateProgram(ctx, p, pin.Memo{})
	if err != nil {
		return "", fmt.Errorf("program: %w", err)
	}
	for _, c := range []pin.Client{
		{ID: threddClient, ProgramID: p.ID, Contract: "thredd", Name: "Load", Scopes: []string{"pins:read", "pins:write"}},
		{ID: issuerClient, ProgramID: p.ID, Contract: "issuer", Name: "Load", Scopes: []string{"pins:verify"}},
		{ID: networkClient, ProgramID: p.ID, Contract: "networkintl", Name: "Load", Scopes: []string{"pins:change"},
			Settings: json.RawMessage(`{"bankId":"NIC","pinKeyIds":[],"asymmetricAlias":false}`)},
	} {
		if _, _, err := vault.CreateClient(ctx, c, secret, pin.Memo{}); err != nil {
			return "", fmt.Errorf("client %s: %w", c.ID, err)
		}
	}
	key, err := ring.WrapZoneKey(zoneKey, p.ID, pin.UsageZonePIN, keyring.TDES, zoneKeyBytes)
	if err != nil {
		return "", fmt.Errorf("zone PIN key: %w", err)
	}
	if err := vault.ImportZoneKey(ctx, key, pin.Memo{}); err != nil {
		return "", fmt.Errorf("zone PIN key: %w", err)
	}
	return p.ID, nil
}

// card is what callers know of one.
type card struct {
	token, id, pin, pan string
	block               []byte
}

// fill makes the cards, many at once, and tells how far it is.
func fill(ctx context.Context, vault *pin.Vault, program string, made []card, workers int) error {
	key, err := pinblock.NewTDES(zoneKeyBytes)
	if err != nil {
		return err
	}
	var next, done atomic.Int64
	ended := make(chan struct{})
	defer close(ended)
	go progress(&done, len(made), ended)
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			for {
				n := int(next.Add(1))
				if n > len(made) {
					return nil
				}
				c, err := create(ctx, vault, key, program, n)
				if err != nil {
					return fmt.Errorf("card %d: %w", n, err)
				}
				made[n-1] = c
				done.Add(1)
			}
		})
	}
	return g.Wait()
}

func progress(done *atomic.Int64, of int, ended <-chan struct{}) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(os.Stderr, "load: %d of %d cards\n", done.Load(), of)
		case <-ended:
			return
		}
	}
}

// create makes the n-th card, from 1. Its PIN follows from its number, so that setting the PIN once more
// leaves the block right.
func create(ctx context.Context, vault *pin.Vault, key *pinblock.Key, program string, n int) (card, error) {
	is, err := numbered(key, n)
	if err != nil {
		return card{}, err
	}
	chosen, err := pin.New([]byte(is.pin))
	if err != nil {
		return card{}, err
	}
	c, err := vault.CreateCard(ctx, pin.NewCard{
		ProgramID: program, PAN: is.pan, Expiry: "3112", Sequence: "01", PIN: chosen, PINChosen: true,
		References: []pin.Reference{{Kind: pin.KindPublicToken, Value: is.token}},
	}, pin.Memo{})
	is.id = c.ID
	return is, err
}

// numbered is the n-th card without its id.
func numbered(key *pinblock.Key, n int) (c card, err error) {
	c = card{token: fmt.Sprint(100_000_000 + n), pin: fmt.Sprintf("%04d", n%10_000), pan: apptest.PAN(n)}
	c.block, err = key.Encrypt(pinblock.ISO0, []byte(c.pin), c.pan, nil)
	return c, err
}

// portfolio writes rows for an import of the cards with the numbers, or writes some of them down. Their ids follow from their
// numbers, one after the other, as the ids that are drawn follow the time.
func portfolio(numbers, program string, sample int, out string) (err error) {
	var from, to int
	if _, err := fmt.Sscanf(numbers, "%d-%d", &from, &to); err != nil || from < 1 || to < from {
		return errors.New("--rows takes two numbers, such as 1-10000")
	}
	key, err := pinblock.NewTDES(zoneKeyBytes)
	if err != nil {
		return err
	}
	one := func(n int) (card, error) {
		c, err := numbered(key, n)
		c.id = fmt.Sprintf("00000000-0000-7000-8000-%012d", n)
		return c, err
	}
	if sample > 0 {
		f, err := os.Create(out) //nolint:gosec // whoever starts it says where
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		made := make([]card, min(sample, to-from+1))
		for i := range made {
			if made[i], err = one(from + rand.N(to-from+1)); err != nil { //nolint:gosec // which cards are called is no secret
				return err
			}
		}
		return write(f, made)
	}
	b := bufio.NewWriterSize(os.Stdout, 1<<16)
	_, _ = fmt.Fprintln(b, "cardId,programId,pan,sequence,expiry,references.publicToken,pin.block.keyId,pin.block.format,pin.block.pinBlock") // Flush tells
	for n := from; n <= to; n++ {
		c, err := one(n)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(b, "%s,%s,%s,01,3112,%s,%s,ISO-0,%X\n", c.id, program, c.pan, c.token, zoneKey, c.block); err != nil {
			return err
		}
	}
	return b.Flush()
}

func write(w io.Writer, cards []card) error {
	b := bufio.NewWriter(w)
	for _, c := range cards {
		if _, err := fmt.Fprintf(b, "%s %s %s %X %s\n", c.token, c.id, c.pin, c.block, c.pan); err != nil {
			return err
		}
	}
	return b.Flush()
}
