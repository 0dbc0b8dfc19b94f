package config

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
)

// Sandbox is what 'pinvault sandbox' can be told.
type Sandbox struct {
	Port             *int       `name:"port" env:"PINVAULT_PORT" placeholder:"N" help:"The port to listen on, in place of that of --listen. 0: a free one."`
	Listen           string     `name:"listen" env:"PINVAULT_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}."`
	DatabaseURL      string     `name:"database-url" env:"PINVAULT_DATABASE_URL" placeholder:"URL" help:"The database: sqlite:///path/to/file.db or postgres://user:password@host/name. Default: a SQLite file of its own, which is removed at the end."`
	PublicURL        string     `name:"public-url" env:"PINVAULT_PUBLIC_URL" placeholder:"URL" help:"The URL under which clients reach this server; the issuer of its tokens. Default: http://HOST:PORT."`
	Seed             string     `name:"seed" env:"PINVAULT_SEED" type:"path" placeholder:"FILE" help:"YAML with programs, keys, clients and cards that the sandbox and all its spaces hold besides the fixtures, or in their place."`
	UntilStdinCloses bool       `name:"until-stdin-closes" env:"PINVAULT_UNTIL_STDIN_CLOSES" help:"End when standard input is closed, as it is when whoever started this is no more."`
	LogLevel         slog.Level `name:"log-level" env:"PINVAULT_LOG_LEVEL" default:"INFO" placeholder:"LEVEL" help:"DEBUG, INFO, WARN or ERROR. Default: ${default}."`
}

// Validate checks what the server's own settings do not.
func (s *Sandbox) Validate() error {
	if s.Port != nil && (*s.Port < 0 || *s.Port > 65535) {
		return errors.New("--port must be between 0 and 65535")
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return errors.New("--listen must be an address such as 127.0.0.1:8080")
	}
	return nil
}

// Serve are the settings of the server, over those that it has unless told otherwise. A database must have been chosen.
func (s *Sandbox) Serve(unless Serve) Serve {
	unless.Sandbox, unless.DatabaseURL, unless.PublicURL, unless.LogLevel = true, s.DatabaseURL, s.PublicURL, s.LogLevel
	if unless.Listen = s.Listen; s.Port != nil {
		host, _, _ := net.SplitHostPort(s.Listen) // as Validate has seen
		unless.Listen = net.JoinHostPort(host, strconv.Itoa(*s.Port))
	}
	return unless
}
