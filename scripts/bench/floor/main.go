// Command floor is the least that a program can do which answers PIN status and PIN set from PostgreSQL:
// net/http, a pool of connections and the statements that cannot be done without. PinVault is measured
// against it, so that a figure says what PinVault adds and not what the machine can do.
//
// It keeps no contract, asks nobody who is calling, and has no keys: nothing that it holds is a real PIN.
//
//	go run ./scripts/bench/floor --database-url postgres://… --cards 100000
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	url := flag.String("database-url", "", "an empty PostgreSQL database, or one that this program has filled")
	cards := flag.Int("cards", 100_000, "how many cards to make; their tokens follow 100000000")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *url, *cards)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// conns is how many connections PinVault's pool has.
const conns = 20

func run(ctx context.Context, url string, cards int) error {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	config.MaxConns = conns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := fill(ctx, pool, cards); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("serving", "listen", listener.Addr().String())
	s := &http.Server{Handler: handler(pool), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return s.Close()
	}
}

const schema = `
CREATE TABLE cards (
    id         bigint PRIMARY KEY,
    token      text COLLATE "C" NOT NULL UNIQUE,
    pin        bytea NOT NULL,
    tries_left integer NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    card_id bigint NOT NULL,
    type    text NOT NULL,
    at      timestamptz NOT NULL
);`

// fill makes the tables and their cards, unless they are there.
func fill(ctx context.Context, pool *pgxpool.Pool, cards int) error {
	var there bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass('cards') IS NOT NULL`).Scan(&there); err != nil || there {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, schema); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO cards SELECT n, (100000000 + n)::text, sha256('0000'), 3, now() FROM generate_series(1, $1::bigint) n`, cards)
		return err
	})
}

// handler answers under the paths of Thredd's contract, so that both programs are sent the same bytes.
func handler(pool *pgxpool.Pool) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /api/v1/cards/{token}/pin/status", func(w http.ResponseWriter, r *http.Request) {
		var left int
		err := pool.QueryRow(r.Context(), `SELECT tries_left FROM cards WHERE token = $1`, r.PathValue("token")).Scan(&left)
		if err != nil {
			fail(w, err)
			return
		}
		status := "Unblocked"
		if left == 0 {
			status = "Blocked"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"status": status, "remainingTries": fmt.Sprint(left)}) // the caller is gone
	})
	m.HandleFunc("POST /api/v1/cards/{token}/pin", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			PIN string `json:"pin"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, "no JSON", http.StatusBadRequest)
			return
		}
		if err := set(r.Context(), pool, r.PathValue("token"), body.PIN); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return m
}

// set is five round trips: BEGIN, SELECT, UPDATE, INSERT, COMMIT.
func set(ctx context.Context, pool *pgxpool.Pool, token, chosen string) error {
	hash := sha256.Sum256([]byte(chosen))
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, `SELECT id FROM cards WHERE token = $1`, token).Scan(&id); err != nil {
			return err
		}
		now := time.Now()
		if _, err := tx.Exec(ctx, `UPDATE cards SET pin = $2, changed_at = $3 WHERE id = $1`, id, hash[:], now); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO audit (card_id, type, at) VALUES ($1, 'pin.set', $2)`, id, now)
		return err
	})
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, pgx.ErrNoRows) {
		status = http.StatusNotFound
	}
	http.Error(w, http.StatusText(status), status)
}
