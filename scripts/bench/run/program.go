package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// command runs a program to its end and shows what it says when it fails. Its standard error is shown in
// any case: that is where progress is told.
func command(ctx context.Context, env []string, path string, args ...string) error {
	var out bytes.Buffer
	c := child(ctx, env, path, args...)
	c.Stdout, c.Stderr = &out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, out.Bytes())
	}
	return nil
}

// child is a command that ends with ctx, and is given time to.
func child(ctx context.Context, env []string, path string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, path, args...) //nolint:gosec // the programs are this repository's own, and wrk
	c.Env = append(os.Environ(), env...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	return c
}

// program is a server that can be started over and over.
type program struct {
	name string
	url  string // of its database
	path string
	args []string
	env  []string
}

// running is a started program.
type running struct {
	base string // its URL
	stop func() error
}

// start starts the program over the database at url and returns when it serves. Its log goes to a file, as a
// supervisor would have it; it says there where it listens.
func (p program) start(ctx context.Context, dir, url string) (r running, err error) {
	log, err := os.CreateTemp(dir, p.name+".*.log")
	if err != nil {
		return running{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := child(ctx, p.env, p.path, append(append([]string{}, p.args...), "--database-url", url)...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		cancel()
		return running{}, errors.Join(err, log.Close())
	}
	var end error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end = c.Wait()
	}()
	stop := func() error {
		cancel()
		<-ended
		return errors.Join(log.Close(), os.Remove(log.Name()))
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); ; {
		select {
		case <-tick.C:
			if address := servesAt(log.Name()); address != "" {
				return running{"http://" + address, stop}, nil
			}
			continue
		case <-ended:
			err = errors.Join(errors.New("it ended"), end)
		case <-late:
			err = errors.New("it is not ready after a minute")
		}
		said, _ := os.ReadFile(log.Name())
		return running{}, errors.Join(fmt.Errorf("%s did not start: %w\n%s", p.name, err, said), stop())
	}
}

// servesAt is the address in a log's line "serving", "" while there is none.
func servesAt(log string) string {
	text, _ := os.ReadFile(log)
	for line := range bytes.Lines(text) {
		var entry struct{ Msg, Listen string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" {
			return entry.Listen
		}
	}
	return ""
}

// pinvault is the server in production mode. One public URL for those that are started one after the other, or beside each other: it
// is the issuer of the tokens. Clients are limited, as in production, by limits that they never meet.
func pinvault(url, dir string) program {
	return program{name: "PinVault", url: url, path: "bin/pinvault", env: keys(dir),
		args: []string{"serve", "--listen", "127.0.0.1:0", "--public-url", "http://pinvault.localhost",
			"--limits", "requestsPerMinute=1000000000,verificationsPerMinute=1000000000,verificationsPerHour=1000000000"}}
}

// keys are the settings of a fresh keyset.
func keys(dir string) []string {
	var master [32]byte
	_, _ = rand.Read(master[:]) // never fails
	return []string{"PINVAULT_KEYSET=" + dir + "/keyset.json", "PINVAULT_MASTER_KEY=" + base64.StdEncoding.EncodeToString(master[:])}
}

// databases makes databases on a server that must be durable, and returns their URLs and its version.
func databases(ctx context.Context, server string, names ...string) (urls []string, version string, err error) {
	if server == "" {
		return nil, "", errors.New("there is no PINVAULT_TEST_DATABASE_URL: run it under DURABLE=1 scripts/with-postgres")
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var fsync string
	if err := conn.QueryRow(ctx, `SELECT current_setting('fsync'), split_part(current_setting('server_version'), ' ', 1)`).Scan(&fsync, &version); err != nil {
		return nil, "", err
	}
	if fsync != "on" {
		return nil, "", errors.New("the database has fsync off: run it under DURABLE=1 scripts/with-postgres")
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
			return nil, "", err
		}
		u, err := url.Parse(server)
		if err != nil {
			return nil, "", errors.New("PINVAULT_TEST_DATABASE_URL is no URL") // its text would hold the password
		}
		u.Path = "/" + name
		urls = append(urls, u.String())
	}
	return urls, version, nil
}

// with is a URL with one more option.
func with(address, option, value string) string {
	return address + "&" + url.Values{option: {value}}.Encode()
}

func execute(ctx context.Context, url string, statements ...string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
