package docs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"pinvault"
)

// changes are what changed in a contract since it was last released, of one weight for its callers.
type changes struct {
	ID, Title, About string
	Count            int
	Operations       []changed
}

// InWords is what a number of them is called.
func (c changes) InWords() string { return strings.ToLower(c.Title) }

// changed is what changed in an operation, or, without one, in what operations share.
type changed struct {
	ID, Summary  string // of the operation, "" where the document does not have it any more
	Method, Path string
	Reasons      []reasoned
}

// reasoned are those of one reason, "" where the changelog names none.
type reasoned struct {
	Why   template.HTML
	Texts []template.HTML
}

// found is a change as scripts/openapi/changes writes it.
type found struct{ Level, Method, Path, Text string }

// breakingTitle is that of the changelog's section that names every break, and why it is one.
const breakingTitle = "Breaking"

// levels are the weights, the heaviest first.
var levels = []changes{
	{ID: "breaking", Title: breakingTitle, About: "A caller may have to change."},
	{ID: "unnoticed", Title: "Breaking by the letter alone", About: "A rule of the comparison calls these breaking, and no caller notices: the path always had the parameter, any value is taken where a few were, or a reply's schema has another name."},
	{ID: "unclear", Title: "Possibly breaking", About: "Whether these take all that was taken before, or give what was given before, no tool can tell: patterns can be compared by reading alone."},
	{ID: "compatible", Title: "Not breaking", About: "Whoever ignores what it does not know need not change."},
}

// changesOf are a contract's, of the weights that have some.
func changesOf(c *chapter) ([]changes, error) {
	text, err := pinvault.Texts.ReadFile("generated/changes/" + c.Name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was never released
	}
	if err != nil {
		return nil, err
	}
	var all []found
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("changes: %w", err)
	}
	named, err := namedBreaks()
	if err != nil {
		return nil, err
	}
	return grouped(all, c.Operations, named)
}

// grouped are changes by weight, operation and, where they differ in their status alone, in one.
func grouped(all []found, operations []operation, named []string) (shown []changes, err error) {
	for _, level := range levels {
		byOperation := map[[2]string][]found{}
		var order [][2]string
		for _, f := range all {
			if f.Level != level.ID {
				continue
			}
			key := [2]string{f.Method, f.Path}
			if byOperation[key] == nil {
				order = append(order, key)
			}
			byOperation[key] = append(byOperation[key], f)
		}
		for _, key := range order {
			one := changed{Method: key[0], Path: key[1]}
			if i := slices.IndexFunc(operations, func(o operation) bool { return o.Method == key[0] && o.Path == key[1] }); i >= 0 {
				one.ID, one.Summary = operations[i].ID, operations[i].Summary
			}
			for _, same := range alike(byOperation[key]) {
				err = errors.Join(err, one.tell(same, named))
				level.Count++
			}
			level.Operations = append(level.Operations, one)
		}
		if level.Count > 0 {
			shown = append(shown, level)
		}
	}
	return shown, err
}

// statusOf is where a change tells the status of a reply.
var statusOf = regexp.MustCompile("(for the status|with the) `([0-9]{3})`")

// alike puts changes together that differ in nothing but the status.
func alike(all []found) (groups [][]found) {
	places := map[string]int{}
	for _, f := range all {
		key := statusOf.ReplaceAllString(f.Text, "$1")
		if i, there := places[key]; there {
			groups[i] = append(groups[i], f)
			continue
		}
		places[key] = len(groups)
		groups = append(groups, []found{f})
	}
	return groups
}

// tell adds a change, for all statuses for which it was found, to those of its reason.
func (c *changed) tell(same []found, named []string) error {
	var statuses []string
	because := ""
	for _, f := range same {
		if status := statusOf.FindStringSubmatch(f.Text); status != nil {
			statuses = append(statuses, "`"+status[2]+"`")
		}
		because = cmp.Or(because, reason(f, named))
	}
	words := statusOf.ReplaceAllString(same[0].Text, "$1 "+strings.Join(statuses, ", "))
	text, err := inline(strings.ToUpper(words[:1]) + words[1:])
	if err != nil {
		return err
	}
	why, err := inline(because)
	i := slices.IndexFunc(c.Reasons, func(r reasoned) bool { return r.Why == why })
	if i < 0 {
		i = len(c.Reasons)
		c.Reasons = append(c.Reasons, reasoned{Why: why})
	}
	c.Reasons[i].Texts = append(c.Reasons[i].Texts, text)
	return err
}

// inline is one sentence of Markdown.
func inline(sentence string) (template.HTML, error) {
	shown, err := markdown(sentence)
	text := strings.TrimSuffix(strings.TrimPrefix(string(shown.HTML), "<p>"), "</p>\n")
	return template.HTML(text), err //nolint:gosec // goldmark escapes, and the texts are our own documents'
}

// reason is what the changelog says of a break, "" where it does not name it. It names one by method, path and text.
func reason(f found, named []string) string {
	for _, entry := range named {
		if !strings.HasPrefix(entry, f.Method+" "+f.Path+" ") {
			continue
		}
		if _, after, there := strings.Cut(entry, f.Text); there {
			_, why, _ := strings.Cut(strings.ReplaceAll(after, "(media type: ", "("), ": ")
			return why
		}
	}
	return ""
}

// namedBreaks are the breaks that the changelog names, an entry each, in one line.
func namedBreaks() (entries []string, err error) {
	all, err := sections()
	for _, s := range all {
		if s.Title != breakingTitle {
			continue
		}
		for _, entry := range strings.Split("\n"+s.list, "\n- ")[1:] {
			entries = append(entries, strings.Join(strings.Fields(entry), " "))
		}
	}
	return entries, err
}
