package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/app/apptest"
	"pinvault/impl/config"
	"pinvault/impl/metrics"
	"pinvault/impl/pin"
	"pinvault/impl/rows"
)

// Those who run a server have rules and a dashboard for Prometheus, and a page that says what is counted and what to do about an
// alert. These tests hold all of it against what a server exposes, and against each other.

const (
	rulesFile     = "../../deploy/prometheus/rules.yaml"
	dashboardFile = "../../deploy/grafana/pinvault.json"
	operationsDoc = "../../docs/operations.md"
)

var update = flag.Bool("update", false, "write the table of metrics in docs/operations.md anew")

// exposition is what a server in production exposes once somebody has asked it something, and one whose keys are elsewhere.
func exposition(t *testing.T) string {
	t.Helper()
	checked := true
	wired := wiredForProduction(t, func(c *config.Serve) {
		c.CheckReplies, c.AuditLog, c.AuditLogOrigin = &checked, t.TempDir(), "production.example/audit"
	})
	ask := func(h http.Handler, path string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		require.Equal(t, http.StatusOK, w.Code, path)
		return w.Body.String()
	}
	ask(wired.Public, "/livez")
	elsewhere := prometheus.NewRegistry()
	metrics.NewBackend(elsewhere).Call("openbao", "decrypt", time.Millisecond, errors.New("away"))
	return ask(wired.Admin, "/metrics") + ask(promhttp.HandlerFor(elsewhere, promhttp.HandlerOpts{}), "/")
}

// exposed are the families of an exposition.
func exposed(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(exposition(t)))
	require.NoError(t, err)
	return families
}

// labelsOf are the labels that a family's series have.
func labelsOf(f *dto.MetricFamily) []string {
	all := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			all[l.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// ruleFile is a file of rules.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Record, Alert, Expr string
			Labels, Annotations map[string]string
		}
	}
}

func rulesOf(t *testing.T) (f ruleFile) {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &f))
	return f
}

// queriesOfDashboard are the expressions of all panels and annotations.
func queriesOfDashboard(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	var whole any
	require.NoError(t, json.Unmarshal(text, &whole))
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if expr, ok := v["expr"].(string); ok {
				all = append(all, expr)
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(whole)
	require.NotEmpty(t, all)
	return all
}

// What stands in an expression of PromQL besides metrics and numbers.
var (
	inQuotes  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	selection = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}`)
	matcher   = regexp.MustCompile(`([a-zA-Z_]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")`)
	grouping  = regexp.MustCompile(`\b(?:by|on|ignoring|without)\s*\(([^)]*)\)`)
	ranges    = regexp.MustCompile(`\[[^\]]*\]|offset\s+\S+`)
	word      = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	words     = []string{"sum", "rate", "increase", "max", "min", "count", "histogram_quantile", "time", "and", "or", "by", "on"}
)

// asked is what an expression asks of one metric.
type asked struct {
	metric   string
	matchers [][3]string // label, operator, value
	grouped  []string    // labels that the expression groups by
}

// read takes an expression apart.
func read(t *testing.T, expr string) (all []asked) {
	t.Helper()
	var grouped []string
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		grouped = append(grouped, word.FindAllString(g[1], -1)...)
	}
	rest := ranges.ReplaceAllString(grouping.ReplaceAllString(expr, " "), " ")
	rest = selection.ReplaceAllStringFunc(rest, func(text string) string {
		s := selection.FindStringSubmatch(text)
		one := asked{metric: s[1], grouped: grouped}
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			one.matchers = append(one.matchers, [3]string{m[1], m[2], m[3]})
		}
		outside := inQuotes.ReplaceAllString(s[2], "")
		require.Len(t, one.matchers, strings.Count(outside, "=")+strings.Count(outside, "!~"), "matchers of %s", text)
		all = append(all, one)
		return " "
	})
	for _, w := range word.FindAllString(rest, -1) {
		if !slices.Contains(words, w) {
			all = append(all, asked{metric: w, grouped: grouped})
		}
	}
	require.NotEmpty(t, all, expr)
	return all
}

// family finds the family that a series is of.
func family(families map[string]*dto.MetricFamily, series string) (f *dto.MetricFamily, more string) {
	if f := families[series]; f != nil && f.GetType() != dto.MetricType_HISTOGRAM {
		return f, ""
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if name, ok := strings.CutSuffix(series, suffix); ok && families[name].GetType() == dto.MetricType_HISTOGRAM && families[name] != nil {
			return families[name], suffix
		}
	}
	return nil, ""
}

// scraped are the labels that Prometheus adds, and what it makes itself.
var scraped = []string{"job", "instance"}

// enumerated are values that not every server has series of.
var enumerated = map[string][]string{"state": {"active", "pending", "retiring", "retired", "destroyed"}}

// holds compares what an expression asks against what there is.
func holds(t *testing.T, expr string, families map[string]*dto.MetricFamily, recorded []string, operations []string) {
	t.Helper()
	var labels []string
	all := read(t, expr)
	for _, one := range all {
		if one.metric == "up" || one.metric == "ALERTS" || slices.Contains(recorded, one.metric) {
			labels = append(labels, scraped...)
			continue
		}
		f, suffix := family(families, one.metric)
		require.NotNil(t, f, "%s: no server exposes %s", expr, one.metric)
		own := append(labelsOf(f), scraped...)
		if suffix == "_bucket" {
			own = append(own, "le")
		}
		labels = append(labels, own...)
		for _, m := range one.matchers {
			require.Contains(t, own, m[0], "%s: %s has no label %s", expr, one.metric, m[0])
			value := strings.Trim(m[2], `"`)
			if m[0] == "operation" {
				for name := range strings.SplitSeq(value, "|") {
					require.Contains(t, operations, name, "no document has the operation")
				}
				continue
			}
			if m[1] == "=" && !slices.Contains(scraped, m[0]) && m[0] != "le" {
				require.True(t, slices.Contains(enumerated[m[0]], value) || slices.ContainsFunc(f.GetMetric(), func(s *dto.Metric) bool {
					return slices.ContainsFunc(s.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == m[0] && l.GetValue() == value })
				}), "%s: no %s of %s is %q", expr, m[0], one.metric, value)
			}
			if m[0] == "le" {
				require.True(t, slices.ContainsFunc(f.GetMetric()[0].GetHistogram().GetBucket(), func(b *dto.Bucket) bool {
					return regexp.MustCompile("^(?:" + strings.ReplaceAll(value, `\\`, `\`) + ")$").MatchString(fmt.Sprint(b.GetUpperBound()))
				}), "%s: %s has no bucket %s", expr, one.metric, value)
			}
		}
	}
	for _, label := range all[0].grouped {
		require.Contains(t, labels, label, expr)
	}
}

func operationsOf(t *testing.T) (byContract map[string][]string, all []string) {
	t.Helper()
	byContract = map[string][]string{}
	for name, doc := range apptest.Documents(t) {
		for _, o := range rows.Operations(doc) {
			byContract[name] = append(byContract[name], o.Op.OperationID)
		}
		all = append(all, byContract[name]...)
	}
	return byContract, all
}

func TestRulesAndDashboardAskForWhatAServerExposes(t *testing.T) {
	t.Parallel()
	families := exposed(t)
	byContract, operations := operationsOf(t)
	var recorded []string
	var text strings.Builder
	for _, g := range rulesOf(t).Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded = append(recorded, r.Record)
			}
			text.WriteString(r.Expr)
		}
	}
	for _, g := range rulesOf(t).Groups {
		for _, r := range g.Rules {
			holds(t, r.Expr, families, recorded, operations)
		}
	}
	for _, expr := range queriesOfDashboard(t) {
		holds(t, expr, families, recorded, operations)
	}
	for name, of := range byContract {
		if name == "common" || name == "sandbox" || name == "events" {
			continue
		}
		require.True(t, slices.ContainsFunc(of, func(op string) bool { return strings.Contains(text.String(), op) }), "no objective is about %s", name)
	}
}

// The reading of expressions finds what is wrong with them.
func TestAnExpressionThatAsksForNothingIsFound(t *testing.T) {
	t.Parallel()
	require.Equal(t, []asked{
		{"a_bucket", [][3]string{{"le", "=~", `"5|5\\.0"`}, {"x", "!=", `"}y"`}}, []string{"le", "z"}}, {"b", nil, []string{"le", "z"}}},
		read(t, `histogram_quantile(0.9, sum by (le, z) (rate(a_bucket{le=~"5|5\\.0", x!="}y"}[5m]))) > 2 * b offset 1h`))
}

func TestEveryAlertIsTestedAndHasARunbook(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(operationsDoc)
	require.NoError(t, err)
	fires := map[string]bool{}
	files, err := filepath.Glob("../../deploy/prometheus/*_test.yaml")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var tested struct {
			Tests []struct {
				Checks []struct {
					Alert string `yaml:"alertname"`
					Want  []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &tested))
		for _, one := range tested.Tests {
			for _, c := range one.Checks {
				fires[c.Alert] = fires[c.Alert] || len(c.Want) > 0
			}
		}
	}
	headings := regexp.MustCompile(`(?m)^### (PinVault\S+)\n\n(\S.*)`).FindAllSubmatch(doc, -1)
	var explained, alerts []string
	for _, h := range headings {
		explained = append(explained, string(h[1]))
	}
	for _, g := range rulesOf(t).Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			alerts = append(alerts, r.Alert)
			require.True(t, fires[r.Alert], "no test has %s fire", r.Alert)
			require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
			require.Equal(t, "docs/operations.md#"+strings.ToLower(r.Alert), r.Annotations["runbook"])
			require.NotEmpty(t, r.Annotations["summary"])
			require.NotEmpty(t, r.Annotations["description"])
		}
	}
	require.Equal(t, alerts, explained, "a heading for each alert, in the order of the rules")
}

// promtool runs Prometheus' own judge of rules and expositions.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if path, err = filepath.Abs("../../.local/debian/bin/promtool"); err == nil {
			_, err = os.Stat(path)
		}
	}
	if err != nil {
		t.Skip("promtool is not here: scripts/packages promtool gets it")
	}
	c := exec.CommandContext(t.Context(), path, args...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "promtool %s:\n%s", strings.Join(args, " "), out)
}

func TestPromtoolTakesTheRules(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", rulesFile)
	for _, file := range []string{"rules_test.yaml", "rules_slow_test.yaml"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			promtool(t, "", "test", "rules", filepath.Join(filepath.Dir(rulesFile), file))
		})
	}
}

func TestPromtoolTakesTheDashboardsQueries(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	fmt.Fprint(&file, "groups: [{name: dashboard, rules: [")
	for i, expr := range queriesOfDashboard(t) {
		expr = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$instance", ".*").Replace(expr)
		quoted, err := json.Marshal(expr)
		require.NoError(t, err)
		fmt.Fprintf(&file, "{record: 'query:%d', expr: %s},", i, quoted)
	}
	fmt.Fprint(&file, "]}]\n")
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	require.NoError(t, os.WriteFile(path, file.Bytes(), 0o600))
	promtool(t, "", "check", "rules", path)
}

func TestPromtoolTakesTheMetrics(t *testing.T) {
	t.Parallel()
	promtool(t, exposition(t), "check", "metrics")
}

// The table of metrics in the documentation is that of a server.
func TestTheTableOfMetricsIsWhatAServerExposes(t *testing.T) {
	t.Parallel()
	families := exposed(t)
	var table strings.Builder
	table.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if f := families[name]; strings.HasPrefix(name, "pinvault_") {
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labelsOf(f), ", "), f.GetHelp())
		}
	}
	doc, err := os.ReadFile(operationsDoc)
	require.NoError(t, err)
	const begin, end = "<!-- metrics -->\n", "<!-- /metrics -->"
	before, rest, _ := strings.Cut(string(doc), begin)
	was, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "the marks around the table")
	if *update {
		require.NoError(t, os.WriteFile(operationsDoc, []byte(before+begin+table.String()+end+after), 0o644))
		return
	}
	require.Equal(t, table.String(), was, "go test ./impl/app -run TableOfMetrics -update writes it anew")
}

// No label can have a value that somebody outside has written: each is one of a few that the program names.
func TestLabelsHaveAFewValues(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	plant(t, h)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metricsOf(t, h.URL)))
	require.NoError(t, err)
	_, operations := operationsOf(t)
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	names := slices.Collect(maps.Keys(documents))
	known := map[string]func(string) bool{
		"contract":  func(v string) bool { return v == "none" || v == "" || slices.Contains(names, v) },
		"operation": func(v string) bool { return v == "" || slices.Contains(operations, v) },
		"status":    func(v string) bool { return regexp.MustCompile(`^[1-5]\d\d$`).MatchString(v) },
		"method": func(v string) bool {
			return regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE|other)$`).MatchString(v)
		},
		"limit": func(v string) bool {
			_, there := pin.DefaultLimits()[pin.Limit(v)]
			return there
		},
		"version": func(v string) bool { return true }, "go": func(v string) bool { return true },
	}
	for name, f := range families {
		if !strings.HasPrefix(name, "pinvault_") {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				fits := known[l.GetName()]
				if fits == nil {
					fits = regexp.MustCompile(`^[a-z_-]{2,20}$`).MatchString
				}
				require.True(t, fits(l.GetValue()), "%s: %s=%q", name, l.GetName(), l.GetValue())
			}
		}
	}
}

// A server that does not find its database ends with an error. Unless told otherwise systemd starts a unit five times in ten seconds and then
// no more, so that one which comes up before its database would stay down.
func TestTheServiceIsStartedUntilItsDatabaseAnswers(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../deploy/systemd/pinvault.service")
	require.NoError(t, err)
	beforeService, service, found := strings.Cut(string(unit), "\n[Service]\n")
	require.True(t, found)
	require.Contains(t, service, "\nRestart=on-failure\n")
	require.Contains(t, beforeService, "\nStartLimitIntervalSec=0\n", "which belongs into [Unit]")
}
