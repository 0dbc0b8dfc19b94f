package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"pinvault/impl/config"
	"pinvault/impl/keymaterial"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

type keysImportCommand struct {
	config.Database
	config.Keys
	Sandbox       bool     `env:"PINVAULT_SANDBOX" help:"The database is a sandbox's. Only there may a key be given in the clear: --components 1."`
	ID            string   `name:"id" required:"" placeholder:"ID" help:"The id by which requests and settings name the key: letters, digits, '.', '_', '-', at most 64."`
	Program       string   `placeholder:"ID" help:"The program that the key is for."`
	AllPrograms   bool     `help:"The key is for all programs: whoever holds it can send PIN blocks for any card."`
	Usage         string   `required:"" enum:"zone-pin,message,zone-master,pin-verification,pin-mailer" help:"The only thing that the key may be used for: zone-pin PIN blocks, message messages, zone-master other keys in key blocks, pin-verification PVVs and offsets, pin-mailer PIN blocks to a printer."`
	Algorithm     string   `required:"" enum:"TDES,AES,RSA" help:"TDES (16 or 24 bytes), AES (16, 24 or 32) or RSA (zone-pin only)."`
	Components    int      `default:"2" help:"How many components are XORed together to make the key. Default: ${default}."`
	ComponentFile []string `type:"existingfile" placeholder:"FILE" help:"A file with one component in hexadecimal; repeat the flag for each component. Default: you are asked for them, without echo."`
	Generate      bool     `help:"RSA: generate the key here. It never leaves; partners get its certificate."`
	KeyFile       string   `type:"existingfile" placeholder:"FILE" help:"RSA, in a sandbox only: a private key, PKCS#8 in PEM."`
	CheckValue    string   `placeholder:"XXXXXX" help:"The check value that the key must have: the first 6 to 16 hex digits, with or without blanks, of encrypted zeros (TDES), of the CMAC of zeros (AES; not the older one, of encrypted zeros), or of the public key's SHA-256 (RSA). With it, there is no question."`
}

// maxComponents is more than any ceremony has.
const maxComponents = 9

// generatedRSA is the modulus of a key that is drawn here, in bits: what partners' HSMs take.
const generatedRSA = 2048

// Validate refuses what contradicts itself before anybody types a component.
func (c *keysImportCommand) Validate() error {
	rsaKey := c.Algorithm == keyring.RSA
	for _, rule := range []struct {
		broken bool
		says   string
	}{
		{!validKeyID(c.ID), "--id must be 1 to 64 letters, digits, '.', '_' or '-'"},
		{rsaKey && c.Usage != string(pin.UsageZonePIN), "an RSA key opens PIN blocks: --usage zone-pin"},
		{c.Algorithm == keyring.TDES && c.Usage == string(pin.UsageMessage), "messages are encrypted under AES keys"},
		{c.Algorithm != keyring.TDES && c.Usage == string(pin.UsageVerification), "PVVs and offsets are made under TDES keys"},
		{rsaKey && c.Generate == (c.KeyFile != ""), "an RSA key is generated here (--generate) or, in a sandbox, read from --key-file"},
		{rsaKey && len(c.ComponentFile) > 0, "an RSA key has no components"},
		{!rsaKey && (c.Generate || c.KeyFile != ""), "--generate and --key-file are for RSA keys"},
		{rsaKey && c.KeyFile != "" && !c.Sandbox, "a private key in the clear is for a sandbox only: use --generate"},
		{c.Generate && c.CheckValue != "", "a key that is generated here has no check value beforehand"},
		{(c.Program == "") != c.AllPrograms, "name the program that the key is for with --program, or use --all-programs"},
		{c.CheckValue != "" && !validCheckValue(c.CheckValue), "--check-value must be 6 to 16 hex digits"},
		{c.Components < 1 || c.Components > maxComponents, fmt.Sprintf("--components must be 1 to %d", maxComponents)},
		{!rsaKey && c.count() == 1 && !c.Sandbox, "one component is the key in the clear, which is for a sandbox only: use two or more"},
	} {
		if rule.broken {
			return errors.New(rule.says)
		}
	}
	if c.Sandbox {
		return c.Database.Validate()
	}
	return errors.Join(c.Database.Validate(), c.Missing())
}

// validCheckValue tells whether a text is one, as people write it.
func validCheckValue(text string) bool {
	digits := plainCheckValue(text)
	return len(digits) >= 6 && len(digits) <= 16 && strings.Trim(digits, "0123456789ABCDEF") == ""
}

// plainCheckValue is a check value without blanks, in upper case.
func plainCheckValue(text string) string {
	return strings.ToUpper(strings.Join(strings.Fields(text), ""))
}

func validKeyID(id string) bool {
	return id != "" && len(id) <= 64 && strings.IndexFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("._-", r)
	}) < 0
}

// count is how many components there are.
func (c *keysImportCommand) count() int {
	if len(c.ComponentFile) > 0 {
		return len(c.ComponentFile)
	}
	return c.Components
}

// Run asks for the key, shows what it is known by, and keeps it once that was confirmed.
func (c *keysImportCommand) Run(ctx context.Context) error {
	on := vaultFlags{Database: c.Database, Keys: c.Keys, Sandbox: c.Sandbox} // whose help says less of a sandbox
	return on.as(ctx, pin.Operator("pinvault keys import"), c.into)
}

func (c *keysImportCommand) into(ctx context.Context, vault *pin.Vault, ring *keyring.Ring) error {
	asker := newConsole(os.Stdin, os.Stderr)
	key, err := c.key(asker)
	if err != nil {
		return err
	}
	defer clear(key)
	row, err := ring.WrapZoneKey(c.ID, c.Program, pin.KeyUsage(c.Usage), c.Algorithm, key)
	if err != nil {
		return fmt.Errorf("the key does not have a length that %s allows", c.Algorithm)
	}
	long, err := keyring.LongCheckValue(c.Algorithm, key)
	if err != nil {
		return err
	}
	if err := c.confirm(asker, row, long); err != nil {
		return err
	}
	switch err := vault.ImportZoneKey(ctx, row, pin.Memo{}); pin.CodeOf(err) {
	case "":
		fmt.Println("imported", c.ID, "with check value", row.CheckValue)
		return nil
	case pin.Duplicate:
		return fmt.Errorf("a key %s already exists", c.ID)
	case pin.NotFound:
		return errors.New("there is no such program")
	default:
		return err
	}
}

// key is the key's bytes: of RSA the private key in PKCS#8 DER. The caller clears them.
func (c *keysImportCommand) key(from *console) ([]byte, error) {
	switch {
	case c.Generate:
		drawn, err := rsa.GenerateKey(rand.Reader, generatedRSA)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(drawn)
	case c.Algorithm == keyring.RSA:
		text, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return nil, err
		}
		defer clear(text)
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, errors.New("the key file is not PEM")
		}
		return block.Bytes, nil
	}
	return c.combined(from)
}

// combined is the key that the components make, each of which is shown by its check value.
func (c *keysImportCommand) combined(from *console) ([]byte, error) {
	var parts [][]byte
	defer func() {
		for _, part := range parts {
			clear(part)
		}
	}()
	for i := range c.count() {
		name := fmt.Sprintf("component %d", i+1)
		part, err := c.component(from, i, name)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if len(part) != len(parts[0]) {
			return nil, errors.New(name + " is not as long as the one before it")
		}
	}
	key, err := c.cipher().Combine(parts...)
	if err != nil {
		return nil, err
	}
	return key, c.sound(from, key)
}

// cipher is what a key of components is for.
func (c *keysImportCommand) cipher() keymaterial.Cipher {
	if c.Algorithm == keyring.TDES {
		return keymaterial.TDES
	}
	return keymaterial.AES
}

// unsound are the reasons to refuse a key of which a sandbox's user is only warned.
var unsound = map[error]string{
	keymaterial.ErrWeak:       "a part of the key is a weak key of DES: encrypting twice gives the clear text back",
	keymaterial.ErrEqualParts: "two neighbouring parts of the key are equal: it is no better than single DES",
}

// sound refuses a key that no contract can use, and a weak TDES key; of the latter it warns in a sandbox.
func (c *keysImportCommand) sound(from *console, key []byte) error {
	fault := c.cipher().Check(key)
	if errors.Is(fault, keymaterial.ErrZero) {
		return errors.New("the components cancel each other out: the key is all zeros")
	}
	if c.Usage == string(pin.UsageMessage) && !slices.Contains(keyring.MessageKeySizes(), len(key)) {
		return fmt.Errorf("no contract has messages under a key of %d bytes: Accosa's have 24, Credit+'s 32", len(key))
	}
	says, ok := unsound[fault]
	if !ok {
		return fault
	}
	if !c.Sandbox {
		return errors.New(says)
	}
	from.print("warning: " + says)
	return nil
}

// component reads a component. The caller clears it.
func (c *keysImportCommand) component(from *console, i int, name string) ([]byte, error) {
	text, err := c.text(from, i, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer clear(text)
	digits := bytes.Join(bytes.Fields(text), nil) // people write them in groups
	defer clear(digits)
	part := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(part, digits); err != nil { // its text quotes a digit
		return nil, errors.New(name + " is not hexadecimal")
	}
	long, err := keyring.LongCheckValue(c.Algorithm, part)
	if err != nil {
		return nil, fmt.Errorf("%s has %d bytes, which no %s key has", name, len(part), c.Algorithm)
	}
	if err := c.soundPart(from, name, part); err != nil {
		return nil, err
	}
	from.print("check value of " + name + c.kindOfCheckValue() + ": " + long[:6])
	if c.Algorithm == keyring.TDES && !keymaterial.OddParity(part) {
		from.print("warning: " + name + " has bytes of even parity. DES does not use that bit, but check that it was typed correctly.")
	}
	return part, nil
}

// kindOfCheckValue tells, where there are two, which one is meant.
func (c *keysImportCommand) kindOfCheckValue() string {
	if c.Algorithm == keyring.AES {
		return " (CMAC)"
	}
	return ""
}

// soundPart refuses a component that is no secret or a weak TDES key; of the latter it warns in a sandbox.
func (c *keysImportCommand) soundPart(from *console, name string, part []byte) error {
	switch fault := c.cipher().Check(part); {
	case fault == nil:
		return nil
	case errors.Is(fault, keymaterial.ErrZero):
		return errors.New(name + " is all zeros: whoever has the others has the key")
	case !c.Sandbox:
		return errors.New(name + " is a weak key of DES, or has equal parts: have another one made")
	}
	from.print("warning: " + name + " is a weak key of DES, or has equal parts")
	return nil
}

func (c *keysImportCommand) text(from *console, i int, name string) ([]byte, error) {
	if len(c.ComponentFile) > 0 {
		if c.Sandbox {
			return os.ReadFile(c.ComponentFile[i])
		}
		return private(c.ComponentFile[i])
	}
	return from.secret(name + ": ")
}

// confirm compares the check value, by itself or by asking. long is the check value with all its digits.
func (c *keysImportCommand) confirm(from *console, row pin.ZoneKey, long string) error {
	from.print("check value of the key" + c.kindOfCheckValue() + ": " + row.CheckValue)
	if c.CheckValue != "" {
		if !strings.HasPrefix(long, plainCheckValue(c.CheckValue)) {
			says := "this is not the check value that was given; nothing was imported"
			if c.Algorithm == keyring.AES {
				says += ". For AES it is the CMAC of zeros that counts (ANSI X9.24-1), not encrypted zeros"
			}
			return errors.New(says)
		}
		return nil
	}
	program := row.ProgramID
	if program == "" {
		program = "all programs"
	}
	answer, err := from.ask(fmt.Sprintf("import it as %s, %s, for %s of %s? [y/N] ", row.ID, row.Algorithm, row.Usage, program))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return errors.New("not confirmed; nothing was imported")
	}
	return nil
}

// console asks questions: on a terminal, or of a script that writes a line for each.
type console struct {
	out    io.Writer
	lines  *bufio.Reader
	hidden func() ([]byte, error) // nil where nobody could look over a shoulder
}

func newConsole(in *os.File, out io.Writer) *console {
	c := &console{out: out, lines: bufio.NewReader(in)}
	if fd := int(in.Fd()); term.IsTerminal(fd) {
		c.hidden = func() ([]byte, error) {
			text, err := term.ReadPassword(fd)
			c.print("")
			return text, err
		}
	}
	return c
}

func (c *console) print(line string) { _, _ = fmt.Fprintln(c.out, line) }

// secret asks for what is not shown while it is typed. The caller clears it.
func (c *console) secret(prompt string) ([]byte, error) {
	_, _ = io.WriteString(c.out, prompt)
	if c.hidden != nil {
		return c.hidden()
	}
	line, err := c.lines.ReadBytes('\n')
	c.print("")
	if errors.Is(err, io.EOF) {
		if err = nil; len(line) == 0 {
			err = errors.New("there is none on standard input: type it on a terminal, or name a file with --component-file")
		}
	}
	return line, err
}

// ask asks for a line. io.EOF: there was none, or no end to it.
func (c *console) ask(prompt string) (string, error) {
	_, _ = io.WriteString(c.out, prompt)
	line, err := c.lines.ReadString('\n')
	return strings.TrimSpace(line), err
}
