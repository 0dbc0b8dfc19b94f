package docs

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"regexp"
	"strings"
	"sync"

	"pinvault"
)

// place is where pages stand: on a server that calls can be tried on or not, or as files of a static site.
type place struct {
	Sandbox bool   // rows can be tried
	Ext     string // what the names of pages end with, "" on a server

	Assets map[string]string // what they load, by what it is called here
}

// landing is what the landing page is made from.
type landing struct {
	place
	Contracts []*chapter
	Told      *told
	Workflows []*workflow
	Changes   []section
}

// section is one of the changelog's newest part.
type section struct {
	Title        string
	Count        int
	Text, Latest template.HTML // all of it, and what was added to it last: nothing of what the contracts' own pages have
	list         string        // as it is written
}

// ID is what links lead to.
func (s section) ID() string { return strings.ToLower(s.Title) }

// InWords is what a number of its entries is called.
func (s section) InWords() string { return strings.ToLower(s.Title) }

// Pages are the landing page, whose path is "", the changelog, two for each contract, of what it is and of what changed in
// it, and a page for each workflow. Rows can be tried on the pages of a server with a sandbox.
func (s *Site) Pages(sandbox bool) []*File { return s.pages(place{Sandbox: sandbox, Assets: s.assets}) }

func (s *Site) pages(at place) []*File {
	front := ""
	if at.Ext != "" {
		front = "index" + at.Ext
	}
	all := []*File{made(front, pageType, func() ([]byte, error) {
		changes, err := sections()
		if err != nil {
			return nil, err
		}
		shown := landing{place: at, Changes: changes}
		for _, chapter := range s.chapters {
			c, err := chapter()
			if err != nil {
				return nil, err
			}
			shown.Contracts = append(shown.Contracts, c)
		}
		if s.told != nil {
			if shown.Told, err = s.told(); err != nil {
				return nil, err
			}
		}
		for _, workflow := range s.workflows {
			w, err := workflow()
			if err != nil {
				return nil, err
			}
			shown.Workflows = append(shown.Workflows, w)
		}
		return s.execute("landing.html", shown)
	})}
	all = append(all, made("docs/changelog"+at.Ext, pageType, func() ([]byte, error) {
		changes, err := sections()
		if err != nil {
			return nil, err
		}
		return s.execute("changelog.html", changelogPage{at, changes})
	}))
	for i, d := range s.documents {
		all = append(all,
			made("docs/"+d.Name()+at.Ext, pageType, then(s.chapters[i], func(c *chapter) ([]byte, error) {
				return s.execute("contract.html", contractPage{at, c})
			})),
			made("docs/"+d.Name()+"/changes"+at.Ext, pageType, then(s.chapters[i], func(c *chapter) ([]byte, error) {
				return s.execute("changes.html", contractPage{at, c})
			})))
	}
	if s.told != nil {
		all = append(all, made("docs/"+eventsName+at.Ext, pageType, then(s.told, func(t *told) ([]byte, error) {
			return s.execute("events.html", toldPage{at, t})
		})))
	}
	for i, name := range s.workflowNames {
		all = append(all, made("docs/workflows/"+name+at.Ext, pageType, then(s.workflows[i], func(w *workflow) ([]byte, error) {
			return s.execute("workflow.html", workflowPage{at, w})
		})))
	}
	return all
}

// Missing is the page for somebody whose browser asked for one that there is not, at a path of the server.
func (s *Site) Missing(path string) ([]byte, error) {
	root := strings.Repeat("../", max(0, strings.Count(path, "/")-1))
	return s.execute("missing.html", missingPage{place{Assets: s.assets}, cmp.Or(root, "./")})
}

func (s *Site) execute(name string, data any) ([]byte, error) {
	var out bytes.Buffer
	err := s.templates.ExecuteTemplate(&out, name, data)
	return out.Bytes(), err
}

// latest is how many entries of a section the landing page shows.
const latest = 3

// sections are those of the changelog under "Unreleased". It is read once: the landing page has it, and each contract's.
var sections = sync.OnceValues(func() (all []section, err error) {
	text, err := pinvault.Texts.ReadFile("CHANGELOG.md")
	if err != nil {
		return nil, err
	}
	_, unreleased, found := strings.Cut(string(text), "\n## Unreleased\n")
	if !found {
		return nil, nil
	}
	unreleased, _, _ = strings.Cut(unreleased, "\n## ")
	for _, part := range strings.Split("\n"+unreleased, "\n### ")[1:] {
		title, list, _ := strings.Cut(part, "\n")
		list = link.ReplaceAllString(list, "$1")
		entries := item.FindAllStringIndex(list, -1) // the latest last
		newest := ""
		if title != breakingTitle && len(entries) > 0 {
			newest = list[entries[max(0, len(entries)-latest)][0]:]
		}
		whole, err := markdown(list)
		if err != nil {
			return nil, fmt.Errorf("changelog: %w", err)
		}
		last, err := markdown(newest)
		if err != nil {
			return nil, fmt.Errorf("changelog: %w", err)
		}
		all = append(all, section{title, len(entries), whole.HTML, last.HTML, list})
	}
	return all, nil
})

var (
	item = regexp.MustCompile(`(?m)^- `)
	link = regexp.MustCompile(`\[([^\]]+)\]\([^):]*\)`) // to a file of the repository
)

// missingPage is what the page for one that there is not is made from.
type missingPage struct {
	place
	Root string // leads to the landing page, also behind a prefix
}

// changelogPage is what the page of the changelog is made from.
type changelogPage struct {
	place
	Changes []section
}

// contractPage is what a contract's page is made from.
type contractPage struct {
	place
	*chapter
}

// workflowPage is what a workflow's page is made from.
type workflowPage struct {
	place
	*workflow
}

// table are rows and how they are shown.
type table struct {
	Rows            []reply
	Advice, Sandbox bool
}

// Table shows rows, with what to do about them or without.
func (p contractPage) Table(rows []reply, advice bool) table { return table{rows, advice, p.Sandbox} }
