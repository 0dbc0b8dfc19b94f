// Command kubernetes holds the chart in deploy/helm against those who will read it: Helm's own code lints and fills it with each file of
// values in its folder ci, Kubernetes' types take every object without a field that they do not know, the profile "restricted" of its
// Pod Security Standards admits every pod, what selects pods selects those that there are, and every variable is a setting that
// pinvault has.
//
//	go run . ROOT
package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	folder := filepath.Join(root, "deploy", "helm", "pinvault")
	reference, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, name := range regexp.MustCompile("`(PINVAULT_[A-Z_]+)`").FindAllStringSubmatch(string(reference), -1) {
		known[name[1]] = true
	}
	loaded, err := loader.LoadDir(folder)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder, "ci", "*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("there are no values to try"))
	}
	for _, file := range files {
		values, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return err
		}
		objects, err := filled(loaded, folder, values)
		if err == nil {
			err = judged(objects, known)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		fmt.Printf("chart: %s: %d objects\n", filepath.Base(file), len(objects))
	}
	if _, err := filled(loaded, folder, chartutil.Values{}); err == nil {
		return errors.New("without a public URL it is filled")
	}
	return nil
}

// filled lints the chart and fills it as 'helm install' does.
func filled(c *chart.Chart, folder string, values chartutil.Values) (map[string]string, error) {
	kube := chartutil.DefaultCapabilities.KubeVersion
	for _, message := range lint.AllWithKubeVersion(folder, values, "cards", &kube).Messages {
		if message.Severity > support.InfoSev {
			return nil, message
		}
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "pins", Namespace: "cards", Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(c, all)
	objects := map[string]string{}
	for file, text := range texts {
		for i, document := range strings.Split(text, "\n---\n") {
			if filepath.Ext(file) == ".yaml" && strings.TrimSpace(document) != "" {
				objects[fmt.Sprint(filepath.Base(file), " ", i+1)] = document
			}
		}
	}
	return objects, err
}

// judged reads every object and holds them against each other.
func judged(objects map[string]string, known map[string]bool) error {
	var pods []metav1.ObjectMeta
	selectors := map[string]metav1.LabelSelector{}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		text := []byte(objects[name])
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(text, &kind); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var template *corev1.PodTemplateSpec
		var err error
		switch kind.APIVersion + " " + kind.Kind {
		case "apps/v1 Deployment":
			var o appsv1.Deployment
			err, template = yaml.UnmarshalStrict(text, &o), &o.Spec.Template
			selectors[name] = *cmp.Or(o.Spec.Selector, &metav1.LabelSelector{})
		case "batch/v1 Job":
			var o batchv1.Job
			err, template = yaml.UnmarshalStrict(text, &o), &o.Spec.Template
		case "v1 Service":
			var o corev1.Service
			err = yaml.UnmarshalStrict(text, &o)
			selectors[name] = metav1.LabelSelector{MatchLabels: o.Spec.Selector}
		case "policy/v1 PodDisruptionBudget":
			var o policyv1.PodDisruptionBudget
			err = yaml.UnmarshalStrict(text, &o)
			selectors[name] = *cmp.Or(o.Spec.Selector, &metav1.LabelSelector{})
		case "networking.k8s.io/v1 NetworkPolicy":
			var o networkingv1.NetworkPolicy
			err = yaml.UnmarshalStrict(text, &o)
			selectors[name] = o.Spec.PodSelector
		case "monitoring.coreos.com/v1 ServiceMonitor": // whose types are not Kubernetes'
		default:
			err = errors.New("nobody expects a " + kind.Kind)
		}
		if err == nil && template != nil {
			if template.Labels["app.kubernetes.io/component"] == "server" {
				pods = append(pods, template.ObjectMeta)
			}
			err = admitted(template, known)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, s := range selectors {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if selector.Empty() || len(pods) != 1 || !selector.Matches(labels.Set(pods[0].Labels)) {
			return fmt.Errorf("%s: it does not select the servers", name)
		}
	}
	return nil
}

// admitted asks whether a restricted namespace takes a pod, and whether its settings are pinvault's.
func admitted(pod *corev1.PodTemplateSpec, known map[string]bool) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
		return errors.New(result.ForbiddenDetail())
	}
	for _, c := range pod.Spec.Containers {
		if security := c.SecurityContext; security == nil || security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
			return errors.New(c.Name + " can write to its image")
		}
		set := map[string]bool{}
		for _, v := range c.Env {
			if strings.HasPrefix(v.Name, "PINVAULT_") && !known[v.Name] {
				return errors.New(v.Name + " is no setting")
			}
			if set[v.Name] {
				return errors.New(v.Name + " is set twice")
			}
			set[v.Name] = true
		}
	}
	return nil
}
