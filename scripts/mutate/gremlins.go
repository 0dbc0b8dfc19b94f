package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// agree holds the mutants of a package against those that gremlins finds in it: they are the very same.
func agree(ctx context.Context, gremlins, pkg string, mutants []*mutant) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gremlins-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	report := filepath.Join(dir, "found.json")
	args := []string{"unleash", "--dry-run", "--output", report, "--exclude-files", "/", "--invert-negatives=false"} // a folder below has tests of its own
	for kind := range kinds {
		args = append(args, "--"+strings.ReplaceAll(strings.ToLower(kind), "_", "-"))
	}
	if said, err := command(ctx, gremlins, append(args, filepath.Join(root, pkg))...).CombinedOutput(); err != nil {
		return fmt.Errorf("gremlins: %w\n%s", err, said)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return err
	}
	return compare(text, pkg, mutants)
}

// compare reads what gremlins reports of a package, and says what only one side knows.
func compare(text []byte, pkg string, mutants []*mutant) error {
	var report struct {
		Files []struct {
			Name      string `json:"file_name"`
			Mutations []struct {
				Type         string
				Line, Column int
			}
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return err
	}
	id := func(file string, line, column int, kind string) string {
		return fmt.Sprint(file, ":", line, ":", column, " ", kind)
	}
	var theirs, ours []string
	for _, f := range report.Files {
		for _, m := range f.Mutations {
			theirs = append(theirs, id(path.Join(pkg, f.Name), m.Line, m.Column, m.Type))
		}
	}
	for _, m := range mutants {
		ours = append(ours, id(m.file, m.line, m.column, m.kind))
	}
	for _, one := range ours {
		if !slices.Contains(theirs, one) {
			return fmt.Errorf("gremlins does not know %s", one)
		}
	}
	for _, one := range theirs {
		if !slices.Contains(ours, one) {
			return fmt.Errorf("gremlins knows %s, which is unknown here", one)
		}
	}
	return nil
}
