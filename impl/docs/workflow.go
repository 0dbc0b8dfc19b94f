package docs

import (
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// workflowExt ends the name of a file of workflows, which stands under workflows/ beside the documents it is about.
const workflowExt = ".arazzo.yaml"

// workflow is a file of workflows (Arazzo 1.0) as its page shows it.
type workflow struct {
	Name, Title, Summary string
	About                template.HTML
	Courses              []course
}

// course is one of its workflows.
type course struct {
	ID, Summary string
	About       template.HTML
	Steps       []step
}

// step is a call, and what must come of it.
type step struct {
	ID     string // unique on the page
	Number int    // from 1
	About  template.HTML
	Called called

	Sent         []sent
	Type         string // of the body, "" for none
	Body, Inside template.HTML
	Demanded     []template.HTML
	Kept         []template.HTML
}

// called is the operation of a step. Contract is "" where the site does not show its document.
type called struct {
	Contract, Title  string
	ID, Method, Path string
	Summary          string
}

// sent is a parameter or a field of a form.
type sent struct {
	Name, Place string
	Value       template.HTML
}

// arazzo is what is read of a file.
type arazzo struct {
	Info      struct{ Title, Summary, Description string }
	Workflows []struct {
		WorkflowID           string `yaml:"workflowId"`
		Summary, Description string
		Steps                []arazzoStep
	}
}

type arazzoStep struct {
	StepID      string `yaml:"stepId"`
	OperationID string `yaml:"operationId"`
	Description string
	Parameters  []struct{ Name, In, Value string }
	RequestBody struct {
		ContentType string    `yaml:"contentType"`
		Payload     yaml.Node `yaml:"payload"`
		Inside      yaml.Node `yaml:"x-decrypted"`
	} `yaml:"requestBody"`
	SuccessCriteria []struct{ Condition string } `yaml:"successCriteria"`
	Outputs         yaml.Node
}

// workflowNames are those of the files beside the documents in fsys.
func workflowNames(fsys fs.FS) ([]string, error) {
	files, err := fs.Glob(fsys, "workflows/*"+workflowExt)
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(path.Base(file), workflowExt))
	}
	return names, err
}

// workflowOf reads a file of workflows over documents.
func workflowOf(name string, whole *bundle.Document, documents []*contract.Document) (*workflow, error) {
	var read arazzo
	if err := whole.Decode(&read); err != nil {
		return nil, err
	}
	about, err := markdown(read.Info.Description)
	w := &workflow{Name: name, Title: read.Info.Title, Summary: read.Info.Summary, About: about.HTML}
	operations := operationsOf(documents)
	for _, one := range read.Workflows {
		about, e := markdown(one.Description)
		err = errors.Join(err, e)
		c := course{ID: one.WorkflowID, Summary: one.Summary, About: about.HTML}
		numbers := map[string]int{}
		for i, s := range one.Steps {
			numbers[s.StepID] = i + 1
			shown, e := stepOf(s, operations[s.OperationID], expressions{c.ID, numbers})
			err = errors.Join(err, e)
			c.Steps = append(c.Steps, shown)
		}
		w.Courses = append(w.Courses, c)
	}
	return w, err
}

// operationsOf are the operations of documents by the names that steps have for them.
func operationsOf(documents []*contract.Document) map[string]called {
	all := map[string]called{}
	for _, d := range documents {
		for method, o := range rows.Operations(d.Spec()) {
			all["$sourceDescriptions."+d.Name()+"."+o.Op.OperationID] = called{
				Contract: d.Name(), Title: title(d), ID: o.Op.OperationID, Method: method, Path: o.Path, Summary: o.Op.Summary,
			}
		}
	}
	return all
}

func stepOf(s arazzoStep, operation called, in expressions) (step, error) {
	if operation.Contract == "" {
		operation.Summary = strings.TrimPrefix(s.OperationID, "$sourceDescriptions.")
	}
	about, err := markdown(s.Description)
	shown := step{ID: in.course + "." + s.StepID, Number: in.numbers[s.StepID], About: about.HTML, Called: operation, Type: s.RequestBody.ContentType}
	for _, p := range s.Parameters {
		shown.Sent = append(shown.Sent, sent{p.Name, p.In, in.words(p.Value)})
	}
	payload, inside := &s.RequestBody.Payload, &s.RequestBody.Inside
	if shown.Type == rows.MediaForm {
		for i := 0; i < len(payload.Content); i += 2 {
			shown.Sent = append(shown.Sent, sent{payload.Content[i].Value, "form field", in.words(payload.Content[i+1].Value)})
		}
	} else if shown.Type != "" {
		body, e := bodyText(payload)
		err = errors.Join(err, e)
		shown.Body = in.words(body)
	}
	if !inside.IsZero() {
		message, e := bodyText(inside)
		err = errors.Join(err, e)
		shown.Inside = in.words(message)
	}
	for _, criterion := range s.SuccessCriteria {
		shown.Demanded = append(shown.Demanded, in.condition(criterion.Condition))
	}
	for i := 0; i < len(s.Outputs.Content); i += 2 {
		name, from := s.Outputs.Content[i].Value, s.Outputs.Content[i+1].Value
		shown.Kept = append(shown.Kept, code(name)+", which is "+in.value(from)) //nolint:gosec // both are escaped
	}
	if err != nil {
		return shown, fmt.Errorf("step %s: %w", s.StepID, err)
	}
	return shown, nil
}

// bodyText is a body as it is shown.
func bodyText(n *yaml.Node) (string, error) {
	if n.Kind == yaml.ScalarNode {
		return n.Value, nil
	}
	out, err := bundle.JSON(n)
	return string(out), err
}

// expressions tells runtime expressions (Arazzo 1.0, Runtime Expressions) in words. Steps are those of one course, by
// their numbers.
type expressions struct {
	course  string
	numbers map[string]int
}

var (
	outputOf = regexp.MustCompile(`\{?\$steps\.([\w-]+)\.outputs\.([\w-]+)\}?`)
	statusIs = regexp.MustCompile(`^\$statusCode == (\d{3})$`)
	bodyIs   = regexp.MustCompile(`^(\$response\.body#/\S+) == (\S.*)$`)
)

// words is a text in which outputs of other steps are told, with links to them.
func (in expressions) words(s string) template.HTML {
	var out strings.Builder
	end := 0
	for _, found := range outputOf.FindAllStringSubmatchIndex(s, -1) {
		out.WriteString(template.HTMLEscapeString(s[end:found[0]]))
		end = found[1]
		name, output := s[found[2]:found[3]], s[found[4]:found[5]]
		fmt.Fprintf(&out, `<a href="#%s.%s">%s of step %d</a>`, in.course, name, output, in.numbers[name])
	}
	out.WriteString(template.HTMLEscapeString(s[end:]))
	return template.HTML(out.String()) //nolint:gosec // escaped above
}

// condition is a simple condition in words; another is shown as it is written.
func (in expressions) condition(s string) template.HTML {
	if status := statusIs.FindStringSubmatch(s); status != nil {
		number, _ := strconv.Atoi(status[1])
		return template.HTML("Status " + status[1] + " " + http.StatusText(number)) //nolint:gosec // digits, and words of our own
	}
	if is := bodyIs.FindStringSubmatch(s); is != nil {
		return in.value(is[1]) + " is " + in.value(is[2]) //nolint:gosec // both are escaped
	}
	return code(s)
}

// value is what an expression stands for, or a literal.
func (in expressions) value(s string) template.HTML {
	if pointer, ok := strings.CutPrefix(s, "$response.body#/"); ok {
		return "the reply's " + code(strings.ReplaceAll(pointer, "/", "."))
	}
	if outputOf.MatchString(s) {
		return in.words(s)
	}
	return code(strings.Trim(s, "'"))
}

func code(s string) template.HTML {
	return template.HTML("<code>" + template.HTMLEscapeString(s) + "</code>") //nolint:gosec // escaped
}
