package imagespec

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/Masterminds/semver/v3"
)

// App is an application in an image: the files in applications/<name>/, and what starts it.
type App struct {
	Name string `json:"name"`
	// Role is RoleCNI, RoleCSI, or empty.
	Role string `json:"role,omitempty"`
	// Launch are the commands that start it. Empty means that nothing is known to: the application is there for the image's own commands.
	Launch []Command `json:"launch,omitempty"`
}

// appName is a DNS label (RFC 1123), because the name becomes one of a Helm release.
var appName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$`)

// CheckAppName returns an [ErrInvalid] for what cannot name an application.
func CheckAppName(name string) error {
	if !appName.MatchString(name) {
		return fmt.Errorf("%w: %q cannot name an application: up to 53 lower case letters, digits and dashes can", ErrInvalid, name)
	}
	return nil
}

func parseApps(label string) ([]App, error) {
	if label == "" {
		return nil, nil
	}
	var apps []App
	if err := json.Unmarshal([]byte(label), &apps); err != nil {
		return nil, fmt.Errorf("label %s: %w: %w", LabelApps, ErrInvalid, err)
	}
	if len(apps) > maxApps {
		return nil, fmt.Errorf("label %s: %w: %d applications", LabelApps, ErrInvalid, len(apps))
	}
	seen := map[string]bool{}
	for _, a := range apps {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("label %s: %w", LabelApps, err)
		}
		if seen[a.Name] {
			return nil, fmt.Errorf("label %s: %w: two applications %s", LabelApps, ErrInvalid, a.Name)
		}
		seen[a.Name] = true
	}
	return apps, nil
}

func (a App) check() error {
	if err := CheckAppName(a.Name); err != nil {
		return err
	}
	if a.Role != "" && a.Role != RoleCNI && a.Role != RoleCSI {
		return fmt.Errorf("%w: application %s has the role %q", ErrInvalid, a.Name, a.Role)
	}
	if err := checkCommands(a.Launch); err != nil {
		return fmt.Errorf("application %s: %w", a.Name, err)
	}
	return nil
}

// ParseRange reads a range of Kubernetes versions: comparisons (">=1.28, <1.35"), wildcards ("1.34.x") and "||", as charts write
// them in kubeVersion. A pre-release of a version counts as that version.
func ParseRange(text string) (*semver.Constraints, error) {
	r, err := semver.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not a range of versions like \">=1.28, <1.35\": %w", ErrInvalid, text, err)
	}
	r.IncludePrerelease = true
	return r, nil
}

func parseRange(label string) (*semver.Constraints, error) {
	if label == "" {
		return nil, nil
	}
	r, err := ParseRange(label)
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", LabelSupportedKubernetes, err)
	}
	return r, nil
}

// CheckKubernetes returns an [ErrInvalid] if an image that supports a range of versions is put on another one. A nil range supports all.
func CheckKubernetes(supported *semver.Constraints, version string) error {
	if supported == nil {
		return nil
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return fmt.Errorf("%w: Kubernetes version %q: %w", ErrInvalid, version, err)
	}
	if !supported.Check(v) {
		return fmt.Errorf("%w: Kubernetes %s is not in the supported range %s", ErrInvalid, version, supported)
	}
	return nil
}
