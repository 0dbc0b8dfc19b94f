package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// hold opens transactions through the pooler of the host that it runs on, and keeps them open until its standard input ends.
func hold(dir string, transactions int) error {
	environment, err := os.ReadFile(filepath.Join(dir, "app", "environment"))
	if err != nil {
		return err
	}
	var url string
	for line := range strings.Lines(string(environment)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PINVAULT_DATABASE_URL="); ok {
			url = value
		}
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // of transactions, not of sessions
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range transactions {
		all.Go(func() {
			conn, err := pgx.ConnectConfig(ctx, config)
			if err != nil {
				return
			}
			defer func() { _ = conn.Close(context.Background()) }()
			if _, err := conn.Begin(ctx); err == nil {
				<-ctx.Done()
			}
		})
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	stop()
	all.Wait()
	return err
}
