package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"pinvault/impl/app"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinverification"
	"pinvault/impl/portfolio"
)

type exportCommand struct {
	vaultFlags
	File    string           `arg:"" help:"The file to write, which must not be there yet; - for standard output."`
	Format  portfolio.Format `enum:"ndjson,csv," default:"" placeholder:"FORMAT" help:"ndjson or csv. Default: by the file's name, .ndjson, .jsonl or .csv."`
	Program string           `required:"" placeholder:"ID" help:"The program whose cards are exported."`
	PAN     bool             `name:"pan" help:"Write whole PANs, without which the file cannot be imported. Default: masked ones."`

	BlockKey    string `placeholder:"ID" help:"Write PIN blocks under this zone PIN key, for cards whose PIN may be read back."`
	BlockFormat string `enum:"ISO-0,ISO-3,ISO-4" default:"ISO-4" help:"Their format: ISO-4 under AES, ISO-0 or ISO-3 under TDES. Default: ${default}."`

	VerificationKey     string `placeholder:"ID" help:"Write PVVs or offsets under this PIN verification key instead, with --pvki or --decimalization-table."`
	PVKI                *int   `name:"pvki" placeholder:"N" help:"Write PVVs with this key index, 0 to 9."`
	DecimalizationTable string `placeholder:"DIGITS" help:"Write IBM 3624 offsets with this table: 16 digits."`
	ValidationStart     int    `placeholder:"N" help:"Digits of the PAN before the validation data. Default: 0."`
	ValidationDigits    int    `default:"16" placeholder:"N" help:"Digits of the PAN that are the validation data. Default: ${default}."`
	ValidationPad       string `default:"F" placeholder:"X" help:"The hexadecimal digit that fills them up to 16. Default: ${default}."`
}

// Help shows the calls.
func (exportCommand) Help() string {
	return `Without --block-key and --verification-key no PINs leave. With them, cards that moved in with a PVV or an offset and whose
holder has not shown the PIN since leave with that, under its own key. Where the program keeps no PINs that may be read
back, all others leave without. The export is in the audit trail of the program, and each PIN
that leaves in that of its card. For example:

    pinvault export --program 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --pan --block-key zpk-1 --block-format ISO-0 cards.csv`
}

// Validate refuses what contradicts itself.
func (c *exportCommand) Validate() (err error) {
	offsets := c.DecimalizationTable != ""
	for _, rule := range []struct {
		broken bool
		says   string
	}{
		{c.BlockKey != "" && c.VerificationKey != "", "a PIN leaves in one form: --block-key or --verification-key"},
		{c.VerificationKey != "" && (c.PVKI != nil) == offsets, "--verification-key makes PVVs, with --pvki, or offsets, with --decimalization-table"},
		{c.VerificationKey == "" && (c.PVKI != nil || offsets), "PVVs and offsets are made under a --verification-key"},
		{c.PVKI != nil && (*c.PVKI < 0 || *c.PVKI > 9), "--pvki must be 0 to 9"},
		{len(c.ValidationPad) != 1, "--validation-pad must be a hexadecimal digit in upper case"},
	} {
		if rule.broken {
			return errors.New(rule.says)
		}
	}
	if c.Format, err = formatOf(c.Format, c.File); err != nil {
		return err
	}
	return c.vaultFlags.Validate()
}

// Run exports the cards.
func (c *exportCommand) Run(ctx context.Context) error {
	return c.as(ctx, pin.Operator("pinvault export"), func(ctx context.Context, vault *pin.Vault, ring *keyring.Ring) error {
		schema, err := portfolio.NewSchema(app.Operator(vault, ring, c.Sandbox))
		if err != nil {
			return err
		}
		packing, err := c.packing(ctx, ring)
		if err != nil {
			return err
		}
		shown := newProgress(os.Stderr)
		defer shown.end()
		if packing != nil { // what fits no card is better told before the trail hears of an export
			if err := c.tried(packing); err != nil {
				return err
			}
		}
		o := portfolio.ExportOptions{Format: c.Format, ProgramID: c.Program, PAN: c.PAN, Packing: packing,
			Progress: func(rows int) { shown.show("cards", int64(rows)) }}
		return c.to(func(file io.Writer) error {
			n, err := portfolio.Export(ctx, vault, schema, file, o)
			shown.end()
			if err == nil && c.File != "-" {
				say(os.Stderr, "exported cards: %d", n)
			}
			return told(err, words{pin.NotFound: "there is no program " + c.Program, pin.UnfitBlock: "a card's PAN fits no block of this --block-format"})
		})
	})
}

// to has a file written, which is there whole or not at all.
func (c *exportCommand) to(write func(io.Writer) error) (err error) {
	if c.File == "-" {
		return write(os.Stdout)
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already", c.File)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(c.File))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}

// tried tells whether the packing would take a PIN of a card with a PAN of the usual length.
func (c *exportCommand) tried(packing *pin.Packing) error {
	some, err := pin.New([]byte("0000"))
	if err != nil {
		return err
	}
	_, _, err = packing.Pack(some, "0000000000000000")
	switch {
	case errors.Is(err, pinverification.ErrTable):
		return errors.New("--decimalization-table must be 16 digits, eight of them different and none more than four times")
	case errors.Is(err, pinverification.ErrValidationData):
		return errors.New("no PAN has the validation data: --validation-digits must be 4 to 16, and with --validation-start within the PAN; --validation-pad a hexadecimal digit")
	}
	return told(err, words{pin.UnfitBlock: "--block-key makes no blocks of this --block-format"})
}

// packing is how PINs leave, nil where none do.
func (c *exportCommand) packing(ctx context.Context, ring *keyring.Ring) (*pin.Packing, error) {
	switch {
	case c.BlockKey != "":
		format, err := pinblock.ParseFormat(c.BlockFormat)
		if err != nil {
			return nil, err
		}
		if _, err := ring.PINKey(ctx, c.Program, c.BlockKey); err != nil {
			return nil, told(err, words{pin.UnknownKey: "--block-key " + c.BlockKey + " is no zone PIN key that the program may use"})
		}
		return &pin.Packing{KeyID: c.BlockKey, Pack: func(p pin.PIN, pan string) (*pin.Block, pin.VerificationValue, error) {
			if pan == "" { // to which it would be bound
				return nil, pin.VerificationValue{}, nil
			}
			block, err := ring.SealPIN(ctx, pin.UsageZonePIN, c.Program, c.BlockKey, format, p, pan, rand.Reader)
			return &pin.Block{KeyID: c.BlockKey, Format: format, Bytes: block}, pin.VerificationValue{}, err
		}}, nil
	case c.VerificationKey != "":
		key, err := ring.VerificationKey(ctx, c.Program, c.VerificationKey)
		if err != nil {
			return nil, told(err, words{pin.UnknownKey: "--verification-key " + c.VerificationKey + " is no PIN verification key that the program may use"})
		}
		return &pin.Packing{KeyID: c.VerificationKey, Pack: func(p pin.PIN, pan string) (*pin.Block, pin.VerificationValue, error) {
			if pan == "" {
				return nil, pin.VerificationValue{}, nil
			}
			value, err := c.value(key, p, pan)
			return nil, value, err
		}}, nil
	}
	return nil, nil
}

// value is the PVV or offset of a PIN.
func (c *exportCommand) value(key pin.VerificationKey, p pin.PIN, pan string) (v pin.VerificationValue, err error) {
	v.KeyID = c.VerificationKey
	if c.PVKI != nil {
		v.Index, v.Length = *c.PVKI, p.Len()
		v.PVV, err = key.PVV(pan, v.Index, p.Digits())
	} else {
		v.IBM3624 = pin.IBM3624{Table: c.DecimalizationTable, Start: c.ValidationStart, Digits: c.ValidationDigits, Pad: c.ValidationPad[0]}
		v.Offset, err = key.Offset(v.IBM3624, pan, p.Digits())
	}
	return v, err
}
