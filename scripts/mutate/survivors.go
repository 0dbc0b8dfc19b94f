package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// parseSurvivors reads the list of mutants that may survive: a line that names one (see [mutant.name]), then its
// reason in indented lines. Lines that begin with # say something to readers. It returns how often each is named,
// since the same text can stand twice in a function.
func parseSurvivors(text string) (map[string]int, error) {
	listed := map[string]int{}
	unexplained := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line != strings.TrimLeft(line, " \t"):
			if len(listed) == 0 {
				return nil, errors.New("begins with a reason for nothing")
			}
			unexplained = ""
		case unexplained != "":
			return nil, fmt.Errorf("no reason is given for %q", unexplained)
		default:
			listed[line]++
			unexplained = line
		}
	}
	if unexplained != "" {
		return nil, fmt.Errorf("no reason is given for %q", unexplained)
	}
	return listed, nil
}

// stale are the names of the package that are listed more often than they were found, in order.
func stale(pkg string, listed, found map[string]int, files []string) []string {
	var names []string
	for name, n := range listed {
		file, _, _ := strings.Cut(name, " ")
		if path.Dir(file) == pkg && found[name] < n && (len(files) == 0 || slices.Contains(files, path.Base(file))) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
