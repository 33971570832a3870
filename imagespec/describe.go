package imagespec

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Command is one CMD of a Kubefile, or what starts an application: a line for the shell, or an argument vector.
type Command struct {
	Shell string   `json:"shell,omitempty"`
	Exec  []string `json:"exec,omitempty"`
	// App is the application that the command starts; empty for a CMD.
	App string `json:"app,omitempty"`
}

// String returns the command as it would be typed into a shell.
func (c Command) String() string {
	if c.Shell != "" {
		return c.Shell
	}
	var words []string
	for _, word := range c.Exec {
		if !plainWord.MatchString(word) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// plainWord means itself in every place of a command line.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// Description is the data about a cluster image that its config has.
type Description struct {
	Kind              string // KindCluster or KindApp
	KubernetesVersion string // "v1.34.4"; empty for an app
	Frontend          string // version of the frontend that built it, for people; empty if unknown
	// SupportedKubernetes is the range of Kubernetes versions that the image is meant for; nil means any.
	SupportedKubernetes *semver.Constraints
	Apps                []App
	Commands            []Command
	Lock                *Lock
	Env                 []string // "key=value" as ENV set them, without PATH: the default environment of the cluster
	WorkingDir          string   // of the commands, relative to the rootfs; "." is the rootfs itself
	Platform            ocispec.Platform
}

// versionGrammar is a Kubernetes version: "v1.34.4", "v1.35.0-rc.1", "v1.34.4+vendor.2" (Semantic Versioning 2.0.0 after the v).
var versionGrammar = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// frontendGrammar is a value of [LabelFrontend]; no other is read.
var frontendGrammar = regexp.MustCompile(`^[0-9A-Za-z.+_-]{1,128}$`)

// Describe reads and validates the labels of a cluster image (SPEC.md, section 3). It returns [ErrNotClusterImage] for any other
// image, and [ErrVersion] for a version it does not know.
func Describe(config ocispec.Image) (*Description, error) {
	labels := config.Config.Labels
	switch version := labels[LabelVersion]; version {
	case Version:
	case "":
		return nil, fmt.Errorf("%w: its config has no label %s", ErrNotClusterImage, LabelVersion)
	default:
		return nil, fmt.Errorf("%w: %q, known is %q", ErrVersion, version, Version)
	}
	d := &Description{
		Kind:              labels[LabelKind],
		KubernetesVersion: labels[LabelKubernetesVersion],
		Frontend:          frontendGrammar.FindString(labels[LabelFrontend]),
		WorkingDir:        path.Clean(strings.TrimLeft(config.Config.WorkingDir, "/")),
		Platform:          config.Platform,
	}
	if err := CheckPlatform(d.Platform); err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	if err := d.checkKind(); err != nil {
		return nil, err
	}
	if _, err := SafePath(d.WorkingDir); err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	for _, variable := range config.Config.Env {
		if err := CheckVariable(variable); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(variable, "PATH=") {
			d.Env = append(d.Env, variable)
		}
	}
	var err error
	if d.SupportedKubernetes, err = parseRange(labels[LabelSupportedKubernetes]); err != nil {
		return nil, err
	}
	if d.KubernetesVersion != "" {
		if err := CheckKubernetes(d.SupportedKubernetes, d.KubernetesVersion); err != nil {
			return nil, err
		}
	}
	if d.Apps, err = parseApps(labels[LabelApps]); err != nil {
		return nil, err
	}
	if d.Commands, err = parseCommands(labels[LabelCommands]); err != nil {
		return nil, err
	}
	if d.Lock, err = lockLabel(labels); err != nil {
		return nil, err
	}
	return d, nil
}

// CheckKubernetesVersion returns an [ErrInvalid] for anything but a value of [LabelKubernetesVersion].
func CheckKubernetesVersion(version string) error {
	if !versionGrammar.MatchString(version) {
		return fmt.Errorf("label %s: %w: %q is not a version like v1.34.4", LabelKubernetesVersion, ErrInvalid, version)
	}
	return nil
}

func (d *Description) checkKind() error {
	want := KindApp
	if d.KubernetesVersion != "" {
		want = KindCluster
		if err := CheckKubernetesVersion(d.KubernetesVersion); err != nil {
			return err
		}
	}
	if d.Kind != want {
		return fmt.Errorf("label %s: %w: %q with Kubernetes version %q", LabelKind, ErrInvalid, d.Kind, d.KubernetesVersion)
	}
	return nil
}

func parseCommands(label string) ([]Command, error) {
	if label == "" {
		return nil, nil
	}
	var commands []Command
	if err := json.Unmarshal([]byte(label), &commands); err != nil {
		return nil, fmt.Errorf("label %s: %w: %w", LabelCommands, ErrInvalid, err)
	}
	if err := checkCommands(commands); err != nil {
		return nil, fmt.Errorf("label %s: %w", LabelCommands, err)
	}
	return commands, nil
}

func checkCommands(commands []Command) error {
	if len(commands) > maxCommands {
		return fmt.Errorf("%w: %d commands", ErrInvalid, len(commands))
	}
	for i, c := range commands {
		if err := CheckCommand(c); err != nil {
			return fmt.Errorf("command %d: %w", i+1, err)
		}
	}
	return nil
}

func lockLabel(labels map[string]string) (*Lock, error) {
	label, ok := labels[LabelImages]
	if !ok {
		return NewLock(), nil
	}
	lock, err := ParseLock([]byte(label))
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", LabelImages, err)
	}
	return lock, nil
}
