// Command pinvault is a card-PIN server: several partner contracts over one vault of PINs and one try
// counter.
//
// This package is the command line and nothing else: what a command does stands in impl/app and below.
package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // programs have time zones, and not every machine knows them

	"github.com/alecthomas/kong"
)

// version is set when a release is built.
var version = ""

type commands struct {
	Config kong.ConfigFlag `name:"config" env:"PINVAULT_CONFIG" placeholder:"FILE" help:"JSON file with flag names and their values, such as {\"listen\": \"127.0.0.1:8080\"}."`

	Serve       serveCommand       `cmd:"" help:"Run the server."`
	Sandbox     sandboxCommand     `cmd:"" help:"Run a sandbox for tests: public test data in a database that is gone afterwards."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running server whether it is ready."`
	Status      statusCommand      `cmd:"" help:"Show what there is: version, database, keys, counts, what waits."`
	Doctor      doctorCommand      `cmd:"" help:"Find out what is wrong with settings, keys, database and machine, and what to do."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the database schema up to date."`
	Backup      backupCommand      `cmd:"" help:"Copy a SQLite database to a file, while servers serve."`
	Keys        keysCommand        `cmd:"" help:"Create, rotate, retire and import keys."`
	Rewrap      rewrapCommand      `cmd:"" help:"Put everything in the database under the current keys, after a rotation of the vault's own keys."`
	Programs    programsCommand    `cmd:"" help:"Create, list and change programs, which are tenants with their PIN rules."`
	Clients     clientsCommand     `cmd:"" help:"Create, list, limit, rotate and revoke partners' credentials."`
	Cards       cardsCommand       `cmd:"" help:"Create and show cards."`
	Import      importCommand      `cmd:"" help:"Move cards in from a file, with PIN blocks, PVVs or offsets."`
	Export      exportCommand      `cmd:"" help:"Move cards out to a file."`
	Token       tokenCommand       `cmd:"" help:"Create and read the tokens of Accosa's contract."`
	Docs        docsCommand        `cmd:"" help:"Write the contracts' documentation as a static site."`
	Audit       auditCommand       `cmd:"" help:"Check the audit trail."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
	Reference   referenceCommand   `cmd:"" hidden:"" help:"Print what the flags say of themselves."`
}

func main() {
	if err := hideMemory(); err != nil {
		fmt.Fprintln(os.Stderr, "pinvault:", err)
		os.Exit(1)
	}
	ctx, stop := untilTold(context.Background())
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// untilTold makes a context that ends when the process is told to end: by Ctrl-C, by whoever runs it, or
// because its terminal was closed, unless it was started to outlive that (nohup). The next signal finds
// no handler, and so ends the process at once.
func untilTold(parent context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, end := context.WithCancelCause(parent)
	told := make(chan os.Signal, 1)
	signal.Notify(told, signals...)
	go func() {
		var why error
		select {
		case s := <-told:
			why = fmt.Errorf("%s signal received", s)
		case <-ctx.Done():
		}
		signal.Stop(told) // before anybody hears of it, so that no second signal is lost
		end(why)
	}()
	return ctx, func() { end(nil) }
}

// run is main with its surroundings handed in. It returns the exit code.
func run(ctx context.Context, args []string) int {
	for _, setting := range os.Environ() { // an empty one is as good as none
		if name, value, _ := strings.Cut(setting, "="); value == "" && strings.HasPrefix(name, "PINVAULT_") {
			_ = os.Unsetenv(name)
		}
	}
	var c commands
	command, err := parse(ctx, args, &c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pinvault:", err)
		return 2
	}
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "pinvault:", err)
		return 1
	}
	return 0
}

// parse fills the commands from flags, environment and configuration file, and checks them.
func parse(ctx context.Context, args []string, c *commands) (*kong.Context, error) {
	parser, err := newParser(ctx, c)
	if err != nil {
		return nil, err
	}
	command, err := parser.Parse(args)
	if err == nil {
		err = secretsInTheOpen(command, string(c.Config))
	}
	return command, err
}

func newParser(ctx context.Context, c *commands) (*kong.Kong, error) {
	var parser *kong.Kong
	parser, err := kong.New(c,
		kong.Name("pinvault"),
		kong.Description("One PIN server for every processor's contract. The flags of the server, and those that say where database and keys are, have environment variables."),
		kong.Configuration(func(r io.Reader) (kong.Resolver, error) { return readConfigFile(r, parser.Model) }),
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), kong.MapperFunc(network)),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	return parser, err
}

// network reads a network. kong would have netip say what is wrong with it.
func network(c *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := c.Scan.PopValueInto("network", &text); err != nil {
		return err
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("%q is no network, such as 10.1.0.0/16, or 10.1.0.5/32 for one address", text)
	}
	target.Set(reflect.ValueOf(prefix))
	return nil
}

type versionCommand struct{}

// Run prints the version and the commit it was built from, as far as they are known.
func (versionCommand) Run() error {
	fmt.Println("pinvault", versionText())
	return nil
}

func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	v, commit := version, ""
	if v == "" {
		v = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = " " + s.Value
		}
	}
	return v + commit + " " + info.GoVersion
}
