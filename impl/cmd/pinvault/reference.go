package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// referenceCommand prints what the flags say of themselves: docs/configuration.md, or the manual page that packages bring.
type referenceCommand struct {
	Man bool `help:"As a manual page."`
}

// Run prints it.
func (c referenceCommand) Run(ctx context.Context) error {
	model, err := grammar(ctx)
	if err != nil {
		return err
	}
	commands := referenceOf(model)
	if c.Man {
		return manual(os.Stdout, commands)
	}
	return configuration(os.Stdout, commands)
}

// command is one of the commands, with the settings that it shares with none that stands before it.
type command struct {
	name, help, detail string
	arguments          []string // as they are written, (optional)
	settings           []setting
	shared             []string // flags of 'pinvault serve' that it has too
}

// setting is a flag, and the variable that sets it where it has one. What is secret has a variable alone.
type setting struct{ flag, variable, unless, what string }

// grammar is the model of all commands.
func grammar(ctx context.Context) (*kong.Application, error) {
	parser, err := newParser(ctx, &commands{})
	if err != nil {
		return nil, err
	}
	return parser.Model, nil
}

// referenceOf are the commands, 'pinvault serve' first.
func referenceOf(model *kong.Application) []command {
	var all []command
	served := map[string]bool{}
	for _, leaf := range model.Leaves(true) {
		c := command{name: leaf.Path(), help: leaf.Help, detail: leaf.Detail}
		for _, argument := range leaf.Positional {
			c.arguments = append(c.arguments, argument.Summary())
		}
		for _, f := range leaf.Flags {
			s := settingOf(f)
			switch key := s.flag + s.variable; {
			case served[key]:
				c.shared = append(c.shared, cmp.Or(s.flag, s.variable))
			case len(all) == 0:
				served[key] = true
				fallthrough
			default:
				c.settings = append(c.settings, s)
			}
		}
		all = append(all, c)
	}
	return all
}

// byDefault is how a flag's help ends that says what it is unless given.
var byDefault = regexp.MustCompile(` Default: (.*?)\.( |$)`)

func settingOf(f *kong.Flag) setting {
	s := setting{flag: "--" + f.Name, what: f.Help, unless: f.Default}
	if said := byDefault.FindStringSubmatchIndex(f.Help); said != nil {
		s.unless = f.Help[said[2]:said[3]]
		s.what = strings.TrimSpace(f.Help[:said[0]] + " " + f.Help[said[1]:])
	}
	switch {
	case f.Hidden:
		s.flag = ""
	case f.IsBool() && f.Tag.Negatable != "":
		s.flag = "--[no-]" + f.Name
	case !f.IsBool():
		s.flag += "=" + strings.TrimSuffix(f.FormatPlaceHolder(), ",...")
	}
	if len(f.Envs) > 0 {
		s.variable = f.Envs[0]
	}
	return s
}

const configurationBegins = `# Configuration

Every setting of the server is a flag, and an environment variable, and may stand in a JSON file (` + "`--config`, `PINVAULT_CONFIG`" + `) under
the flag's name: ` + "`{\"listen\": \":8443\"}`" + `. A flag goes before a variable, and a variable before the file. A variable that is empty is as
good as none. What is secret is a variable or a file alone: everybody on a machine can see flags.

This page is made of the flags: ` + "`pinvault reference >docs/configuration.md`" + ` writes it, and a test holds it against them.
`

// configuration is the page for people who run servers.
func configuration(w io.Writer, all []command) error {
	var b strings.Builder
	b.WriteString(configurationBegins)
	for i, c := range all {
		switch i {
		case 0:
			b.WriteString("\n## The server\n")
		case 1:
			b.WriteString("\n## The other commands\n")
		}
		fmt.Fprintf(&b, "\n### `pinvault %s`\n\n%s\n", strings.Join(append([]string{c.name}, c.arguments...), " "), c.help)
		if len(c.shared) > 0 {
			fmt.Fprintf(&b, "\nAs the server: `%s`.\n", strings.Join(c.shared, "`, `"))
		}
		if len(c.settings) > 0 {
			b.WriteString("\n| flag | variable | unless given | |\n|---|---|---|---|\n")
		}
		for _, s := range c.settings {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(s.flag), code(s.variable), cell(s.unless), cell(s.what))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}

func cell(text string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text) }

// manual is the page for man(1), in troff's man macros.
func manual(w io.Writer, all []command) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH PINVAULT 1 \"\" \"pinvault %s\" \"PinVault\"\n", roff(version))
	b.WriteString(".SH NAME\npinvault \\- one PIN server for every processor's contract\n.SH SYNOPSIS\n.B pinvault\n.I command\n[flags]\n" +
		".SH DESCRIPTION\nEvery flag of the server is an environment variable too, and may stand in the JSON file that\n.B \\-\\-config\n" +
		"(PINVAULT_CONFIG) names. A flag goes before a variable, and a variable before the file.\n.SH COMMANDS\n")
	for _, c := range all {
		fmt.Fprintf(&b, ".SS pinvault %s\n%s\n", roff(strings.Join(append([]string{c.name}, c.arguments...), " ")), roff(c.help))
		for paragraph := range strings.SplitSeq(c.detail, "\n\n") {
			if lines, example := strings.CutPrefix(paragraph, "    "); example {
				fmt.Fprintf(&b, ".PP\n.nf\n.RS\n%s\n.RE\n.fi\n", roff(strings.ReplaceAll(lines, "\n    ", "\n")))
			} else if paragraph != "" {
				fmt.Fprintf(&b, ".PP\n%s\n", roff(paragraph))
			}
		}
		if len(c.shared) > 0 {
			fmt.Fprintf(&b, ".PP\nAs the server: %s.\n", roff(strings.Join(c.shared, ", ")))
		}
		for _, s := range c.settings {
			named := strings.TrimPrefix(s.flag+", "+s.variable, ", ")
			fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(strings.TrimSuffix(named, ", ")), roff(s.what))
			if s.unless != "" {
				fmt.Fprintf(&b, " Unless given: %s.", roff(s.unless))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString(".SH EXIT STATUS\n0, 1 where something failed, 2 for a command line that is none.\n.SH FILES\n" +
		"/etc/pinvault/pinvault.env, /etc/pinvault/master\\-key, /var/lib/pinvault: what the service of the Debian package has.\n" +
		".SH SEE ALSO\nThe documentation, at /docs of a running server.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// roff is a text that troff takes as it reads. A line that begins with a full stop would be a macro.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	return regexp.MustCompile(`(?m)^([.'])`).ReplaceAllString(text, `\&$1`)
}
