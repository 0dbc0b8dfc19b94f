package main

import (
	"encoding/base64"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// settings makes the environment of a server in production, a file with the master key and one with the
// keyset among it.
func settings(t *testing.T) (env []string, keyset, master string) {
	t.Helper()
	env = keysFor(t)
	keyset = strings.TrimPrefix(env[0], "PINVAULT_KEYSET=")
	master = filepath.Join(t.TempDir(), "master")
	require.NoError(t, os.WriteFile(master, []byte(strings.TrimPrefix(env[1], "PINVAULT_MASTER_KEY=")), 0o600))
	return []string{env[0], "PINVAULT_MASTER_KEY_FILE=" + master}, keyset, master
}

// What would start weak and silent does not start, says which flag lets it, and starts with that.
func TestServerRefusesToStartWeak(t *testing.T) {
	t.Parallel()
	var started sync.Map
	for _, flag := range []string{"--insecure-key-files", "--insecure-http", "--insecure-secret-flags"} {
		started.Store(flag, false)
	}
	for _, test := range []struct {
		name string
		do   func(t *testing.T, keyset, master string) (env, args []string)
		flag string // that lets it
	}{
		{"a keyset that others can read", func(t *testing.T, keyset, _ string) ([]string, []string) {
			require.NoError(t, os.Chmod(keyset, 0o644))
			return nil, nil
		}, "--insecure-key-files"},
		{"a master key file that others can read", func(t *testing.T, _, master string) ([]string, []string) {
			require.NoError(t, os.Chmod(master, 0o604))
			return nil, nil
		}, "--insecure-key-files"},
		{"an http public URL on the network", func(*testing.T, string, string) ([]string, []string) {
			return nil, []string{"--public-url", "http://pin.example.com"}
		}, "--insecure-http"},
		{"an http public URL on the network, by environment", func(*testing.T, string, string) ([]string, []string) {
			return []string{"PINVAULT_PUBLIC_URL=http://pin.example.com"}, nil
		}, "--insecure-http"},
		{"the master key as a flag", func(t *testing.T, _, master string) ([]string, []string) {
			key, err := os.ReadFile(master)
			require.NoError(t, err)
			return nil, []string{"--master-key", string(key)}
		}, "--insecure-secret-flags"},
		{"the master key in a configuration file that others can read", func(t *testing.T, _, master string) ([]string, []string) {
			key, err := os.ReadFile(master)
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "config.json")
			require.NoError(t, os.WriteFile(file, []byte(`{"master-key": "`+string(key)+`"}`), 0o600))
			require.NoError(t, os.Chmod(file, 0o644))
			return nil, []string{"--config", file}
		}, "--insecure-key-files"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			base, keyset, master := settings(t)
			env, args := test.do(t, keyset, master)
			args = append([]string{"serve", "--listen", "127.0.0.1:0", "--database-url", storetest.SQLite(t)}, args...)
			c := apptest.Command(t, args...)
			c.Env = append(append(c.Env, base...), env...)
			out, err := c.CombinedOutput()
			require.Error(t, err, "%s", out)
			require.Contains(t, string(out), test.flag)
			if started.CompareAndSwap(test.flag, false, true) { // once a flag: a start takes its time
				apptest.ServeAs(t, append(base, env...), append(args, test.flag)...)
			}
		})
	}
}

func TestTokenKeyIsNoFlagEither(t *testing.T) {
	t.Parallel()
	c := apptest.Command(t, "token", "seal", "--key", strings.Repeat("A7", 24))
	out, err := c.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "PINVAULT_TOKEN_KEY")
	c = apptest.Command(t, "token", "seal", "--key", strings.Repeat("A7", 24), "--insecure-secret-flags")
	c.Stdin = strings.NewReader("{}")
	out, err = c.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestOverridesAreInHelp(t *testing.T) {
	t.Parallel()
	out, err := apptest.Command(t, "serve", "--help").CombinedOutput()
	require.NoError(t, err)
	for _, flag := range []string{"--insecure-key-files", "--insecure-http", "--insecure-secret-flags"} {
		require.Contains(t, string(out), flag)
	}
}

// What is weak and not refused is in the log, once.
func TestServerTellsOfWeakSettingsOnce(t *testing.T) {
	t.Parallel()
	database := storetest.SQLite(t)
	file := strings.TrimPrefix(database, "sqlite://")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Chmod(file, 0o644))
	p := apptest.Serve(t, keysFor(t), "--database-url", database, "--trusted-proxies", "192.0.2.0/24,0.0.0.0/0,::/0")
	require.Equal(t, 2, strings.Count(p.Log.String(), `"level":"WARN"`), "%s", p.Log)
	require.Equal(t, 1, strings.Count(p.Log.String(), `"setting":"database-url"`))
	require.Equal(t, 1, strings.Count(p.Log.String(), `"setting":"trusted-proxies"`))
}

func TestKeysInitRefusesAMasterKeyThatWasNotDrawn(t *testing.T) {
	t.Parallel()
	for name, key := range map[string][]byte{"zeros": make([]byte, 32), "letters": []byte("correct horse battery staple 42!")} {
		c := apptest.Command(t, "keys", "init")
		c.Env = append(c.Env, "PINVAULT_KEYSET=keyset.json", "PINVAULT_MASTER_KEY="+base64.StdEncoding.EncodeToString(key))
		out, err := c.CombinedOutput()
		require.Error(t, err, name)
		require.Contains(t, string(out), "openssl rand -base64 32", name)
		require.NoFileExists(t, filepath.Join(c.Dir, "keyset.json"))
	}
}

// A configuration file takes the long names of flags, in the spellings that JSON files have, below the
// environment and flags. What it cannot mean is refused by name.
func TestConfigurationFile(t *testing.T) { //nolint:paralleltest // its cases set the environment
	for _, test := range []struct {
		name, text string
		env, flag  string // the log level that they set
		level      slog.Level
		says       string // "": it is taken
	}{
		{"a long name", `{"log-level": "DEBUG", "request-timeout": "2s", "trusted-proxies": ["192.0.2.0/24"], "docs": false}`, "", "", slog.LevelDebug, ""},
		{"underscores", `{"log_level": "DEBUG"}`, "", "", slog.LevelDebug, ""},
		{"camelCase", `{"logLevel": "DEBUG"}`, "", "", slog.LevelDebug, ""},
		{"a flag of another command", `{"component-file": []}`, "", "", slog.LevelInfo, ""},
		{"what the environment sets otherwise", `{"log-level": "DEBUG"}`, "WARN", "", slog.LevelWarn, ""},
		{"what a flag sets otherwise", `{"log-level": "DEBUG"}`, "WARN", "ERROR", slog.LevelError, ""},
		{"an unknown name", `{"log-lvel": "DEBUG"}`, "", "", 0, `"log-lvel"`},
		{"an unknown name with others inside", `{"logging": {"level": "DEBUG"}}`, "", "", 0, `"logging"`},
		{"another configuration file", `{"config": "other.json"}`, "", "", 0, `"config"`},
		{"a name twice", `{"log-level": "DEBUG", "logLevel": "INFO"}`, "", "", 0, `"logLevel" twice`},
		{"an invalid value", `{"log-level": "LOUD"}`, "", "", 0, "log-level"},
		{"no object", `[]`, "", "", 0, "not one JSON object"},
		{"nothing", ``, "", "", 0, "not one JSON object"},
		{"broken JSON", `{"log-level": `, "", "", 0, "not valid JSON"},
		{"something after it", `{} {}`, "", "", 0, "after its JSON object"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.json")
			require.NoError(t, os.WriteFile(file, []byte(test.text), 0o600))
			args := []string{"serve", "--sandbox", "--config", file}
			if test.env != "" {
				t.Setenv("PINVAULT_LOG_LEVEL", test.env)
			}
			if test.flag != "" {
				args = append(args, "--log-level", test.flag)
			}
			var c commands
			_, err := parse(t.Context(), args, &c)
			if test.says != "" {
				require.ErrorContains(t, err, test.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.level, c.Serve.LogLevel)
			if test.name == "a long name" {
				require.Equal(t, 2*time.Second, c.Serve.RequestTimeout)
				require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, c.Serve.TrustedProxies)
				require.False(t, c.Serve.Docs)
			}
		})
	}
}
