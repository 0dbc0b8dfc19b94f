package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"pinvault/impl/app"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/portfolio"
)

type importCommand struct {
	vaultFlags
	File     string           `arg:"" help:"The file, NDJSON or CSV; - for standard input."`
	Format   portfolio.Format `enum:"ndjson,csv," default:"" placeholder:"FORMAT" help:"ndjson or csv. Default: by the file's name, .ndjson, .jsonl or .csv."`
	Program  string           `placeholder:"ID" help:"The program of cards whose row names none."`
	Rejected string           `type:"path" placeholder:"FILE" help:"Write the rows that were not imported here, a line of JSON each: the line and why, never what it held. Default: they are printed."`
	DryRun   bool             `help:"Import nothing: check each row by itself and against the cards that are there, and not against each other."`
}

// Help shows the calls.
func (importCommand) Help() string {
	return `A row is the schema PortfolioCard of the issuer API's document; in CSV, objects' members have a column each, such as
pan, expiry, references.urn or pin.block.pinBlock. Cards that are there already with the same content are left alone, so that
an import that was interrupted is simply made again. For example:

    pinvault import --program 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --rejected rejected.ndjson cards.csv`
}

// Validate asks for a format where the name does not tell it.
func (c *importCommand) Validate() (err error) {
	if c.Format, err = formatOf(c.Format, c.File); err != nil {
		return err
	}
	return c.vaultFlags.Validate()
}

// formatOf is the format of a file.
func formatOf(said portfolio.Format, file string) (portfolio.Format, error) {
	if said != "" {
		return said, nil
	}
	if f := portfolio.FormatOf(file); f != "" {
		return f, nil
	}
	return "", fmt.Errorf("--format must say whether %s is ndjson or csv", file)
}

// Run imports the file.
func (c *importCommand) Run(ctx context.Context) error {
	return c.as(ctx, pin.Operator("pinvault import"), func(ctx context.Context, vault *pin.Vault, ring *keyring.Ring) error {
		schema, err := portfolio.NewSchema(app.Operator(vault, ring, c.Sandbox))
		if err != nil {
			return err
		}
		return c.into(ctx, vault, schema)
	})
}

func (c *importCommand) into(ctx context.Context, vault *pin.Vault, schema *portfolio.Schema) (err error) {
	if c.Program != "" {
		if _, err := vault.Program(ctx, c.Program); err != nil {
			return told(err, words{pin.NotFound: "there is no program " + c.Program})
		}
	}
	from, err := openCounted(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = from.file.Close() }() // read only
	report, done, err := c.report()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	shown := newProgress(os.Stderr)
	defer shown.end()
	total, err := portfolio.Import(ctx, vault, schema, from, portfolio.ImportOptions{
		Format: c.Format, ProgramID: c.Program, DryRun: c.DryRun, Rejected: report,
		Progress: func(rows int) { shown.of("rows", int64(rows), from.read.Load(), from.size) },
	})
	shown.end()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d rows: import the file again, and it goes on there", total.Rows)
	}
	if err != nil {
		return err
	}
	if err := show(total); err != nil {
		return err
	}
	if total.Rejected > 0 {
		return fmt.Errorf("rows that were not imported: %d of %d", total.Rejected, total.Rows)
	}
	return nil
}

// report is where rejected rows are told.
func (c *importCommand) report() (tell func(portfolio.Rejected) error, done func() error, err error) {
	if c.Rejected == "" {
		return func(r portfolio.Rejected) error {
			say(os.Stderr, "line %d: %s", r.Line, strings.Join(r.Reasons, " "))
			return nil
		}, func() error { return nil }, nil
	}
	f, err := os.OpenFile(c.Rejected, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("--rejected: %w", err)
	}
	lines := json.NewEncoder(f)
	lines.SetEscapeHTML(false)
	return func(r portfolio.Rejected) error { return lines.Encode(r) }, f.Close, nil
}

// counted is a file of which is known how much was read.
type counted struct {
	file *os.File
	read atomic.Int64
	size int64 // bytes, 0 where nobody knows
}

func openCounted(name string) (*counted, error) {
	if name == "-" {
		return &counted{file: os.Stdin}, nil
	}
	f, err := os.Open(name) //nolint:gosec // the operator says which file
	if err != nil {
		return nil, err
	}
	c := &counted{file: f}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		c.size = info.Size()
	}
	return c, nil
}

// Read is io.Reader's.
func (c *counted) Read(into []byte) (int, error) {
	n, err := c.file.Read(into)
	c.read.Add(int64(n))
	return n, err
}

// of is show where the end is known: how much of a file was read, in bytes.
func (p *progress) of(what string, n, read, size int64) {
	if !p.terminal || size == 0 {
		p.show(what, n)
		return
	}
	if p.bar == nil {
		p.what = what
		p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(p.out), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
	}
	p.bar.Describe(fmt.Sprintf("%d %s", n, what))
	_ = p.bar.Set64(read)
}
