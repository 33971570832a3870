package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/source"
)

// checkVersion is the version of the report as JSON. It changes when a field changes its meaning or goes.
const checkVersion = 1

// CheckReport is what the checks of a site found.
type CheckReport struct {
	Version  int             `json:"version"`
	Cluster  string          `json:"cluster"`
	Image    string          `json:"image"`
	Hosts    []CheckedHost   `json:"hosts"`
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Findings []check.Finding `json:"findings"`
}

// CheckedHost is a host that was checked.
type CheckedHost struct {
	Address string `json:"address"`
	Role    string `json:"role"`
}

// Check finds what a run would refuse before it changes a host: with the images, with the hosts for the one with Kubernetes among them, and with
// what the Clusterfile says. It changes nothing.
func Check(ctx context.Context, images []string, from source.Options, site Site) (*CheckReport, error) {
	artifacts, err := open(ctx, images, from)
	defer func() {
		for _, artifact := range artifacts {
			artifact.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	if artifacts[0].Description.Kind != imagespec.KindCluster {
		return nil, fmt.Errorf("%s: it is an application image, which needs nothing of hosts; check the image with Kubernetes that it runs on", artifacts[0].Name)
	}
	if err := checkApps(site.Clusterfile, artifacts); err != nil {
		return nil, err
	}
	c, err := site.cluster()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.Artifact = artifacts[0]
	report := &CheckReport{Version: checkVersion, Cluster: c.Name, Image: c.Artifact.Name, Hosts: []CheckedHost{}}
	for _, h := range c.Hosts {
		report.Hosts = append(report.Hosts, CheckedHost{Address: h.Login.Address.String(), Role: string(h.Login.Role)})
	}
	if report.Findings, err = phase.CheckSite(ctx, c, artifacts[1:]...); err != nil {
		return nil, err
	}
	report.Errors, report.Warnings = check.Count(report.Findings, check.Error), check.Count(report.Findings, check.Warning)
	return report, nil
}

// Err returns an error when a run would stop at what was found.
func (r *CheckReport) Err() error {
	if r.Errors == 0 {
		return nil
	}
	return errors.New(plural(r.Errors, "error") + ": a run would stop here, before it changes a host")
}

// Print writes the report for a person: by host, each finding with its check, whose page explains it.
func (r *CheckReport) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, f := range r.Findings {
		if i == 0 || f.Host != r.Findings[i-1].Host {
			title := f.Host
			if title == "" {
				title = "all hosts"
			}
			fmt.Fprintf(table, "%s\n", title)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", f.Severity, f.Check, f.What)
		if f.Fix != "" {
			fmt.Fprintf(table, "  \t\tfix: %s\n", f.Fix)
		}
	}
	fmt.Fprintf(table, "%s: %s, %s\n", plural(len(r.Hosts), "host"), plural(r.Errors, "error"), plural(r.Warnings, "warning"))
	if len(r.Findings) > 0 {
		fmt.Fprintf(table, "each check has a page: %s\n", check.Pages)
	}
	return table.Flush()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
