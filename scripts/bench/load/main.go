// Command load fills a migrated database of a production server with what the load comparison needs: a
// program that refuses no PIN and lets them be read back, a client of Thredd's contract, one of Network International's, one of the
// issuer API, a zone PIN key, and cards. A production server has no first client, so these come through the vault.
//
// The keyset is that of the server, PINVAULT_KEYSET under PINVAULT_MASTER_KEY. What the callers need to
// know of the cards goes to a file (scripts/bench/cards). Clients' secrets and the key are fixed, and good for nothing else.
//
//	go run ./scripts/bench/load --database-url postgres://… --cards 100000 --out cards.txt
//
// With --cards 0 it makes everything but cards, and prints the program's id. Cards that `pinvault import` is to make come from
// --rows, as CSV on standard output; with --sample it writes down so many of them for the callers instead:
//
//	go run ./scripts/bench/load --rows 1-10000 --program ID | pinvault import --format csv -
//	go run ./scripts/bench/load --rows 1-10000 --sample 5000 --out cards.txt
//
// With --partners it makes so many cards more that every partner's contract finds, a client of each and its keys. What is
// sent for them is sealed beforehand, by another call: requests of a contract with ids of their own, one a line, the path and
// the body. Of the hosted page it makes the sessions too, as far as a browser gets before the PIN is sent.
//
//	go run ./scripts/bench/load --database-url postgres://… --partners 20000 --partners-out partners.txt
//	go run ./scripts/bench/load --database-url postgres://… --requests accosa --from 1 --count 5000 --partners-out partners.txt --out requests.txt
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"pinvault/impl/app/apptest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store"
	"pinvault/scripts/bench/cards"
)

func main() {
	url := flag.String("database-url", "", "the server's database, as pinvault serve takes it")
	many := flag.Int("cards", 100_000, "how many cards to make; their public tokens follow 100000000")
	workers := flag.Int("workers", 16, "how many cards are made at once")
	out := flag.String("out", "cards.txt", "where the cards are written down")
	rows := flag.String("rows", "", "write the rows of these cards for an import, such as 1-10000, and make none")
	program := flag.String("program", "", "the program of --rows")
	sample := flag.Int("sample", 0, "write down so many cards of --rows in place of rows")
	partners := flag.Int("partners", 0, "how many cards to make that every contract finds")
	partnersOut := flag.String("partners-out", "partners.txt", "where these are written down")
	requests := flag.String("requests", "", "seal requests in place of all that: "+strings.Join(slices.Sorted(maps.Keys(writes)), ", "))
	from := flag.Int("from", 1, "the number of the first request; each number is one request's, ever")
	count := flag.Int("count", 1000, "how many requests")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case *requests != "":
		err = seal(ctx, *url, *requests, *partnersOut, *from, *count, *workers, *out)
	case *rows != "":
		err = portfolio(*rows, *program, *sample, *out)
	default:
		err = run(ctx, *url, *workers, []kind{{*many, *out, 0, nil}, {*partners, *partnersOut, *many, referencesOf}})
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// kind is how many cards to make, and where they are written down.
type kind struct {
	cards      int
	out        string
	after      int                         // the number of the card before the first one
	references func(n int) []pin.Reference // besides the public token
}

func run(ctx context.Context, url string, workers int, kinds []kind) (err error) {
	v, err := open(ctx, url, workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.store.Close()) }()
	program, err := v.surroundings(ctx)
	if err != nil {
		return err
	}
	if kinds[0].cards == 0 {
		_, err = fmt.Fprintln(os.Stdout, program)
		return err
	}
	for _, k := range kinds {
		made := make([]cards.Card, k.cards)
		if err := v.fill(v.operator(ctx), program, k, made, workers); err != nil {
			return err
		}
		if err := writeTo(k.out, made); err != nil {
			return err
		}
	}
	return nil
}

// vault is the server's, opened beside it.
type vault struct {
	*pin.Vault
	ring  *keyring.Ring
	store *store.Store
}

func open(ctx context.Context, url string, conns int) (vault, error) {
	ks, err := keyset()
	if err != nil {
		return vault{}, err
	}
	db, err := store.Open(ctx, url, store.Options{MaxConns: conns})
	if err != nil {
		return vault{}, err
	}
	ring := keyring.Open(ks, db, nil)
	v := pin.NewVault(db, ring, nil, nil)
	v.GrantBy(func(_, scope string) (string, bool) { return scope, true }) // to an operator, who needs none
	return vault{v, ring, db}, nil
}

// operator is the context of who may do everything.
func (vault) operator(ctx context.Context) context.Context {
	return pin.WithCaller(ctx, pin.Operator("bench"))
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

// surroundings makes program, clients and their keys, and returns the program's id.
func (v vault) surroundings(ctx context.Context) (string, error) {
	ctx = v.operator(ctx)
	p := pin.NewProgram("Load comparison")
	p.Policy, p.RetrievalAllowed = pin.PolicyOff, true
	p, err := v.CreateProgram(ctx, p, pin.Memo{})
	if err != nil {
		return "", fmt.Errorf("program: %w", err)
	}
	for _, k := range keys {
		if err := v.makeKey(ctx, p.ID, k); err != nil {
			return "", fmt.Errorf("key %s: %w", k.id, err)
		}
	}
	for _, c := range clients {
		if err := v.makeClient(ctx, p.ID, c); err != nil {
			return "", fmt.Errorf("client %s: %w", c.id, err)
		}
	}
	return p.ID, nil
}

// fill makes the cards, many at once, and tells how far it is.
func (v vault) fill(ctx context.Context, program string, k kind, made []cards.Card, workers int) error {
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
				c, err := v.create(ctx, key, program, k, k.after+n)
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
func (v vault) create(ctx context.Context, key *pinblock.Key, program string, k kind, n int) (cards.Card, error) {
	is, err := numbered(key, n)
	if err != nil {
		return cards.Card{}, err
	}
	chosen, err := pin.New([]byte(is.PIN))
	if err != nil {
		return cards.Card{}, err
	}
	references := []pin.Reference{{Kind: pin.KindPublicToken, Value: is.Token}}
	if k.references != nil {
		references = append(references, k.references(n)...)
	}
	c, err := v.CreateCard(ctx, pin.NewCard{
		ProgramID: program, PAN: is.PAN, Expiry: expiry, Sequence: "01", PIN: chosen, PINChosen: true, References: references,
	}, pin.Memo{})
	is.ID = c.ID
	return is, err
}

// firstToken is the public token before that of the first card.
const firstToken = 100_000_000

// numbered is the n-th card without its id.
func numbered(key *pinblock.Key, n int) (cards.Card, error) {
	c := cards.Card{Token: fmt.Sprint(firstToken + n), PIN: fmt.Sprintf("%04d", n%10_000), PAN: apptest.PAN(n)}
	block, err := key.Encrypt(pinblock.ISO0, []byte(c.PIN), c.PAN, nil)
	c.Block = fmt.Sprintf("%X", block)
	return c, err
}

// portfolio writes rows for an import of the cards with the numbers, or writes some of them down. Their ids follow from their
// numbers, one after the other, as the ids that are drawn follow the time.
func portfolio(numbers, program string, sample int, out string) error {
	var from, to int
	if _, err := fmt.Sscanf(numbers, "%d-%d", &from, &to); err != nil || from < 1 || to < from {
		return errors.New("--rows takes two numbers, such as 1-10000")
	}
	key, err := pinblock.NewTDES(zoneKeyBytes)
	if err != nil {
		return err
	}
	one := func(n int) (cards.Card, error) {
		c, err := numbered(key, n)
		c.ID = fmt.Sprintf("00000000-0000-7000-8000-%012d", n)
		return c, err
	}
	if sample > 0 {
		made := make([]cards.Card, min(sample, to-from+1))
		for i := range made {
			if made[i], err = one(from + rand.N(to-from+1)); err != nil { //nolint:gosec // which cards are called is no secret
				return err
			}
		}
		return writeTo(out, made)
	}
	b := bufio.NewWriterSize(os.Stdout, 1<<16)
	_, _ = fmt.Fprintln(b, "cardId,programId,pan,sequence,expiry,references.publicToken,pin.block.keyId,pin.block.format,pin.block.pinBlock") // Flush tells
	for n := from; n <= to; n++ {
		c, err := one(n)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(b, "%s,%s,%s,01,%s,%s,%s,ISO-0,%s\n", c.ID, program, c.PAN, expiry, c.Token, zoneKey, c.Block); err != nil {
			return err
		}
	}
	return b.Flush()
}

// writeTo writes cards down, a line each.
func writeTo(path string, made []cards.Card) error {
	return writeLines(path, len(made), func(i int) string { return made[i].Line() })
}

func writeLines(path string, n int, line func(i int) string) (err error) {
	f, err := os.Create(path) //nolint:gosec // whoever starts it says where
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := bufio.NewWriter(f)
	for i := range n {
		if _, err := fmt.Fprintln(b, line(i)); err != nil {
			return err
		}
	}
	return b.Flush()
}
