package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"pinvault/impl/config"
	"pinvault/impl/issuer"
	"pinvault/impl/siem"
	"pinvault/impl/store"
)

type auditExportCommand struct {
	config.Database
	Format string `enum:"ndjson,cef" default:"ndjson" help:"ndjson, as the issuer API shows events, or cef. Default: ${default}."`
	Cursor string `required:"" type:"path" placeholder:"FILE" help:"How far the export has come: it goes on from there. Made if it is not there."`
	Out    string `type:"path" placeholder:"FILE" xor:"to" help:"Append to this file. Default: standard output."`
	Syslog string `placeholder:"URL" xor:"to" help:"Send to a syslog server over TLS, such as tls://siem.example.com:6514."`
	Follow bool   `help:"Go on when all is exported, until told to end."`

	SyslogCA          string `name:"syslog-ca" type:"path" placeholder:"FILE" help:"Certificates in PEM that the syslog server's must be signed by. Default: the system's."`
	SyslogCertificate string `name:"syslog-certificate" type:"path" placeholder:"FILE" help:"A certificate of your own to show to the syslog server, in PEM."`
	SyslogKey         string `name:"syslog-key" type:"path" placeholder:"FILE" help:"Its key in PEM."`
	SyslogUnconfirmed bool   `name:"syslog-unconfirmed" help:"Believe a receiver that never confirms what it has read, as rsyslog with its gtls driver: one that is killed while it reads may lack events."`
}

// Help says what is promised.
func (auditExportCommand) Help() string {
	return `Needs the database and no keys. Killed anywhere and started again with the same cursor, it goes on where it was: a file of --out has
every event exactly once. To a syslog server a batch may be sent once more, if its receipt was not confirmed: the id tells. For example:

  pinvault audit export --cursor siem.cursor --out events.ndjson
  pinvault audit export --cursor siem.cursor --format cef --syslog tls://siem.example.com:6514 --follow`
}

// Validate refuses what contradicts itself.
func (c *auditExportCommand) Validate() error {
	if err := c.Database.Validate(); err != nil {
		return err
	}
	if c.Syslog == "" {
		if c.SyslogCA != "" || c.SyslogCertificate != "" || c.SyslogKey != "" || c.SyslogUnconfirmed {
			return errors.New("--syslog-ca, --syslog-certificate, --syslog-key and --syslog-unconfirmed need --syslog")
		}
		return nil
	}
	if (c.SyslogCertificate == "") != (c.SyslogKey == "") {
		return errors.New("--syslog-certificate and --syslog-key go together")
	}
	_, err := c.address()
	return err
}

// defaultSyslogPort is that of syslog over TLS (RFC 5425, 4.1).
const defaultSyslogPort = "6514"

func (c *auditExportCommand) address() (string, error) {
	u, err := url.Parse(c.Syslog)
	if err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", errors.New("--syslog must be a URL such as tls://siem.example.com:6514")
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), defaultSyslogPort), nil
	}
	return u.Host, nil
}

// Run exports until there is no more, or for ever.
func (c *auditExportCommand) Run(ctx context.Context) error {
	o := siem.Options{Render: issuer.AuditLine}
	if c.Format == "cef" {
		o.Render = siem.CEF(version)
	}
	if c.Follow {
		o.Follow = time.Second
	}
	switch {
	case c.Syslog != "":
		to, err := c.syslog()
		if err != nil {
			return err
		}
		o.Output, o.Open = c.Syslog, to.Open
	case c.Out != "":
		o.Output, o.Open = c.Out, siem.File(c.Out)
	default:
		o.Output, o.Open = "standard output", siem.Stream(os.Stdout)
	}
	o.Output += ", " + c.Format
	shown := newProgress(os.Stderr)
	defer shown.end()
	o.Progress = shown.show
	return reading(ctx, c.Database, func(db *store.Store) error {
		handed, err := siem.Export(ctx, db, c.Cursor, o)
		shown.end()
		if errors.Is(err, siem.ErrCut) {
			err = fmt.Errorf("%w\nrsyslog with its gtls driver never confirms: give it its ossl driver, or --syslog-unconfirmed here", err)
		}
		if err == nil {
			say(os.Stderr, "%d events exported", handed)
		}
		return err
	})
}

// syslogPatience is how long a batch may take.
const syslogPatience = time.Minute

func (c *auditExportCommand) syslog() (siem.Syslog, error) {
	address, err := c.address()
	if err != nil {
		return siem.Syslog{}, err
	}
	by := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.SyslogCA != "" {
		pem, err := os.ReadFile(c.SyslogCA)
		if err != nil {
			return siem.Syslog{}, fmt.Errorf("--syslog-ca: %w", err)
		}
		by.RootCAs = x509.NewCertPool()
		if !by.RootCAs.AppendCertsFromPEM(pem) {
			return siem.Syslog{}, errors.New("--syslog-ca has no certificate in PEM")
		}
	}
	if c.SyslogCertificate != "" {
		own, err := tls.LoadX509KeyPair(c.SyslogCertificate, c.SyslogKey)
		if err != nil {
			return siem.Syslog{}, fmt.Errorf("--syslog-certificate: %w", err)
		}
		by.Certificates = []tls.Certificate{own}
	}
	host, err := os.Hostname()
	if err != nil {
		return siem.Syslog{}, err
	}
	return siem.Syslog{Address: address, TLS: by, Hostname: host, Patience: syslogPatience, Unconfirmed: c.SyslogUnconfirmed}, nil
}
