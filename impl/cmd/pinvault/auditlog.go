package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/app"
	"pinvault/impl/auditlog"
	"pinvault/impl/config"
	"pinvault/impl/issuer"
	"pinvault/impl/store"
)

type auditLogKeyCommand struct {
	config.Keys
	Sandbox bool   `env:"PINVAULT_SANDBOX" help:"The keys are a sandbox's."`
	Origin  string `name:"audit-log-origin" env:"PINVAULT_AUDIT_LOG_ORIGIN" required:"" placeholder:"NAME" help:"The log's name, as the server has it."`
}

// Help says whom it is for.
func (auditLogKeyCommand) Help() string {
	return `Hand the first line to whoever is to check the log; the others are keys that were, or will be, in its place.

  pinvault audit log-key --audit-log-origin pin.example.com/audit`
}

// Validate asks for keys where they are needed.
func (c *auditLogKeyCommand) Validate() error {
	if err := auditlog.CheckOrigin(c.Origin); err != nil {
		return fmt.Errorf("--audit-log-origin: %w", err)
	}
	if c.Sandbox {
		return nil
	}
	return c.Missing()
}

// Run prints the keys, a line each.
func (c *auditLogKeyCommand) Run() error {
	ks, err := app.Engine(c.Sandbox, c.Keys)
	if err != nil {
		return err
	}
	names, err := auditlog.Verifiers(c.Origin, ks.LogKeys())
	for _, name := range names {
		say(os.Stdout, "%s", name)
	}
	return err
}

// reading opens the database without keys, and leaves it as it is.
func reading(ctx context.Context, d config.Database, work func(*store.Store) error) (err error) {
	if path, embedded := strings.CutPrefix(d.DatabaseURL, "sqlite://"); embedded {
		if _, err := os.Stat(path); err != nil { // opening it would make one
			return fmt.Errorf("database: %w", err)
		}
	}
	db, err := store.Open(ctx, d.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := app.ReadySchema(ctx, db, false); err != nil {
		return err
	}
	return work(db)
}

type auditProveCommand struct {
	config.Database
	AuditLog   string `name:"audit-log" env:"PINVAULT_AUDIT_LOG" type:"path" required:"" placeholder:"DIR" help:"The log's folder."`
	Key        string `required:"" placeholder:"KEY" help:"The log's public key, as 'pinvault audit log-key' prints it, or a file with it."`
	Event      string `required:"" placeholder:"ID" help:"The event."`
	Checkpoint string `type:"path" placeholder:"FILE" help:"A checkpoint of the log that somebody holds, to which the proof is linked. Default: the newest."`
	Out        string `type:"path" placeholder:"FILE" help:"Write the proof here. An existing file is not overwritten. Default: standard output."`
}

// Help shows the call.
func (auditProveCommand) Help() string {
	return `The proof holds the event, as it stands in the trail, and of all others nothing but hashes. It takes no secret.

  pinvault audit prove --event 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --key log.key --out event.proof`
}

// Run writes a proof that was checked.
func (c *auditProveCommand) Run(ctx context.Context) error {
	key, err := keyNamed(c.Key)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	var held *auditlog.Note
	if c.Checkpoint != "" {
		k, err := auditlog.NewKeyring(key, nil)
		if err != nil {
			return err
		}
		n, err := noteIn(k, c.Checkpoint)
		if err != nil {
			return err
		}
		held = &n
	}
	return reading(ctx, c.Database, func(db *store.Store) error {
		p, err := auditlog.Prove(ctx, auditlog.Folder(c.AuditLog), db, c.Event, verifier, held)
		if err != nil {
			return err
		}
		text, err := p.Marshal()
		if err != nil {
			return err
		}
		if c.Out == "" {
			_, err = os.Stdout.Write(text)
			return err
		}
		return writeNew(c.Out, text)
	})
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// keyNamed is a public key, or that of a file.
func keyNamed(given string) (string, error) {
	if strings.Count(given, "+") >= 2 {
		return given, nil
	}
	text, err := os.ReadFile(given) //nolint:gosec // whoever runs it says where the file is
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first), err
}

// noteIn is a checkpoint of the log in a file.
func noteIn(k *auditlog.Keyring, file string) (auditlog.Note, error) {
	text, err := os.ReadFile(file) //nolint:gosec // whoever runs it says where the file is
	if err != nil {
		return auditlog.Note{}, fmt.Errorf("checkpoint: %w", err)
	}
	n, err := k.Note(text)
	if err != nil {
		return auditlog.Note{}, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}

type auditCheckCommand struct {
	Proof      string   `arg:"" optional:"" type:"path" help:"A file of 'pinvault audit prove'. Default: only the log is checked."`
	Checkpoint string   `required:"" type:"path" placeholder:"FILE" help:"The checkpoint of the log that you hold."`
	Key        string   `required:"" placeholder:"KEY" help:"The log's public key, or a file with it."`
	Witness    []string `placeholder:"KEY" help:"The public key of a witness who must have cosigned the checkpoint, or a file with it. May be repeated."`
	Log        string   `placeholder:"URL" help:"The log, such as https://pin.example.com/audit/tiles, or a folder with a copy of it: checks that it goes on from the checkpoint that you hold."`
	Out        string   `type:"path" placeholder:"FILE" help:"Write the log's newest checkpoint here once it was checked, to be held from now on. An existing file is not overwritten."`
}

// Help says what to keep.
func (auditCheckCommand) Help() string {
	return `Works on any machine: it takes neither a database nor a secret. Keep the log's public key, and a checkpoint, which
'curl https://pin.example.com/audit/tiles/checkpoint' fetches. For example:

  pinvault audit check event.proof --checkpoint held --key log.key
  pinvault audit check --checkpoint held --key log.key --log https://pin.example.com/audit/tiles --out newer`
}

// Validate asks for what there is to check.
func (c *auditCheckCommand) Validate() error {
	if c.Proof == "" && c.Log == "" {
		return errors.New("there is nothing to check: give a proof, or the log by --log")
	}
	if c.Out != "" && c.Log == "" {
		return errors.New("--out needs --log, where the newest checkpoint is")
	}
	return nil
}

// Run checks the log, and the proof.
func (c *auditCheckCommand) Run(ctx context.Context) error {
	key, err := keyNamed(c.Key)
	if err != nil {
		return err
	}
	witnesses := make([]string, len(c.Witness))
	for i, w := range c.Witness {
		if witnesses[i], err = keyNamed(w); err != nil {
			return err
		}
	}
	k, err := auditlog.NewKeyring(key, witnesses)
	if err != nil {
		return err
	}
	held, err := noteIn(k, c.Checkpoint)
	if err != nil {
		return err
	}
	var link auditlog.Link
	if c.Log != "" {
		from, err := auditlog.At(c.Log, &http.Client{Timeout: time.Minute})
		if err != nil {
			return err
		}
		newest, err := auditlog.Follow(ctx, k, held, from)
		if err != nil {
			return err
		}
		say(os.Stdout, "the log goes on from your checkpoint of %d entries to %d", held.Size, newest.Size)
		if c.Out != "" {
			if err := writeNew(c.Out, newest.Text); err != nil {
				return err
			}
		}
		link = auditlog.LinkIn(ctx, from)
	}
	if c.Proof == "" {
		return nil
	}
	return c.proof(k, held, link)
}

// proof checks the proof, and prints the event.
func (c *auditCheckCommand) proof(k *auditlog.Keyring, held auditlog.Note, link auditlog.Link) error {
	text, err := os.ReadFile(c.Proof)
	if err != nil {
		return err
	}
	p, err := auditlog.Unmarshal(text)
	if err != nil {
		return err
	}
	proven, err := p.Check(k, held, link)
	if err != nil {
		return err
	}
	line, err := issuer.AuditLine(proven.Event)
	if err != nil {
		return err
	}
	shown, err := json.MarshalIndent(json.RawMessage(line), "", "  ")
	if err != nil {
		return err
	}
	say(os.Stdout, "%s\nproven: the event is in entry %d of the log, which was made at %s", shown, proven.Entry, proven.At.Format(time.RFC3339))
	return nil
}
