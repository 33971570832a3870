package kubelet

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
)

// Error is returned when kubeadm, or what waits for a kubelet, failed. It has what the kubelet itself gives as reasons: kubeadm
// only says that it waited in vain.
type Error struct {
	Host    string
	Reasons []string // lines of the kubelet's journal; empty when it has none that tell
	Err     error
}

// Error has the reasons after the error itself.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	if len(e.Reasons) > 0 {
		fmt.Fprintf(&b, "\n  The kubelet on %s reports:\n", e.Host)
		for _, reason := range e.Reasons {
			fmt.Fprintf(&b, "    %s\n", reason)
		}
	} else {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  For more, run on %s: journalctl -u kubelet -n 50", e.Host)
	return b.String()
}

// Unwrap returns the error without the kubelet's reasons.
func (e *Error) Unwrap() error { return e.Err }

const (
	// journalPatience is how long a host may take to print the kubelet's journal: the run has failed already.
	journalPatience = 20 * time.Second
	// journalTail is how many lines of it are read.
	journalTail = 1000
	// maxReasons, maxReason and maxTitle bound what is repeated, in lines and characters.
	maxReasons = 4
	maxReason  = 400
	maxTitle   = 120
	// reasonKey is by how many letters two reasons are told apart.
	reasonKey = 60
	// preflightPhase is in the error of a kubeadm that did not get as far as the kubelet.
	preflightPhase = "execution phase preflight"
	secretMask     = "(secret)"
)

// RunKubeadm runs a kubeadm that starts the kubelet and waits for it. secrets are those that the kubelet could repeat.
func RunKubeadm(ctx context.Context, s *execute.Session, m *execute.Member, cmd host.Command, secrets ...string) error {
	began := time.Now()
	err := s.Exec(ctx, m, cmd)
	if err == nil || strings.Contains(err.Error(), preflightPhase) {
		return err
	}
	return WithReasons(ctx, m, time.Since(began), err, secrets...)
}

// WithReasons adds to an error what the kubelet has written to its journal for so long. It changes nothing on the host.
func WithReasons(ctx context.Context, m *execute.Member, since time.Duration, err error, secrets ...string) error {
	if ctx.Err() != nil {
		return err // it was interrupted, which says nothing about the kubelet
	}
	limited, cancel := context.WithTimeout(ctx, journalPatience)
	defer cancel()
	// A host without a journal leaves the hint alone.
	journal, _ := m.Ask(limited, "journalctl", "--unit=kubelet", fmt.Sprintf("--since=-%ds", int(since.Seconds())+1),
		fmt.Sprintf("--lines=%d", journalTail), "--output=cat", "--no-pager", "--quiet")
	return &Error{Host: m.String(), Reasons: reasons(string(journal), secrets), Err: err}
}

// klogHeader matches what precedes a message of the kubelet: severity and date, time, thread, file and line.
const klogHeader = `^([IWEF])\d{4} [\d:.]+\s+\d+ [^\]]*\] `

// consequences are in errors that every kubelet repeats as long as the control plane does not run, whatever the reason.
func consequences() []string {
	return []string{
		"6443: connect: connection refused", "Error getting node", "Error getting the current node", "Unable to register node",
		"Failed to ensure lease exists", "Failed to watch", "failed to list *v1", "Failed to contact API server", "Unable to write event",
		"Server rejected event", "failed to get summary stat", "network is not ready", "network not ready", "PLEG is not healthy", "mirror pod",
		"Failed to update lease", "unable to rotate certs", "no imagefs label", "apply oom score", "kubelet.service: Main process exited", "kubelet.service: Failed with result",
	}
}

// reasons returns what a journal has about why the kubelet, or a pod that it should run, does not start: the last lines, each reason
// once. Without any it returns the last errors, or else the last lines.
func reasons(journal string, secrets []string) []string {
	header := regexp.MustCompile(klogHeader)
	masks := secretPatterns()
	var causes, failures, lines []string
	for line := range strings.Lines(journal) {
		line = strings.TrimSpace(host.WithoutControls(strings.ToValidUTF8(line, "")))
		severity, message := "", line
		if found := header.FindStringSubmatch(line); found != nil {
			severity, message = found[1], line[len(found[0]):]
		}
		if message == "" {
			continue
		}
		message = withoutSecrets(message, masks, secrets)
		lines = append(lines, message)
		if severity != "E" && severity != "F" && (severity != "" || !isFailure(message)) {
			continue
		}
		failures = append(failures, message)
		isConsequence := func(text string) bool { return strings.Contains(message, text) }
		if !slices.ContainsFunc(consequences(), isConsequence) {
			causes = append(causes, message)
		}
	}
	for _, kind := range [][]string{causes, failures, lines} {
		if len(kind) > 0 {
			return lastDistinct(kind)
		}
	}
	return nil
}

// isFailure reports whether a line without the kubelet's header is about a failure: of a kubelet that ends before it has a log, or of
// systemd, which cannot start it.
func isFailure(message string) bool {
	for _, prefix := range []string{"error", "fatal", "panic", "failed", "kubelet.service: failed", "kubelet.service: main process exited"} {
		if strings.HasPrefix(strings.ToLower(message), prefix) {
			return true
		}
	}
	return false
}

// rpcReason is before the reason that the container runtime gave. A message has it once for each level of the kubelet that passed it on,
// the last time with the reason alone.
const rpcReason = "desc = "

// lastDistinct returns the last lines that have different reasons, in their order.
func lastDistinct(lines []string) []string {
	ids := regexp.MustCompile(`[0-9a-f]{12,}|[^A-Za-z]+`)
	seen := map[string]bool{}
	var last []string
	for _, line := range slices.Backward(lines) {
		reason := line
		if at := strings.LastIndex(line, rpcReason); at >= 0 {
			reason = line[at+len(rpcReason):]
		}
		// A reason is reported for every pod, at every level of the kubelet, and with another ID each time.
		key := report.Cut(ids.ReplaceAllString(reason, ""), reasonKey)
		if seen[key] {
			continue
		}
		seen[key] = true
		title := ""
		if quoted := strings.SplitN(line, `"`, 3); reason != line && len(quoted) == 3 {
			title = report.Cut(quoted[1], maxTitle) + ": "
		}
		reason, _, _ = strings.Cut(reason, " podUID=")
		last = append(last, title+elide(strings.ReplaceAll(reason, `\`, "")))
		if len(last) == maxReasons {
			break
		}
	}
	slices.Reverse(last)
	return last
}

// elide leaves out the middle of a text that is too long: the end has the first cause.
func elide(text string) string {
	runes := []rune(text)
	if len(runes) <= maxReason {
		return text
	}
	return string(runes[:maxReason/2]) + " … " + string(runes[len(runes)-maxReason/2:])
}

// secretPatterns find what lets others in: bootstrap tokens, credentials in URLs and headers, and values of fields with telling names.
func secretPatterns() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b()`),
		regexp.MustCompile(`(://)[^/\s@]+(@)`),
		regexp.MustCompile(`(?i)\b(?:bearer|basic) +[A-Za-z0-9._~+/=-]{8,}()`),
		regexp.MustCompile(`(?i)((?:password|passwd|token|secret|credential|authorization|api-?key)[a-z]*\\?["']? ?[:=] ?)(?:\\?"[^"\\]*\\?"|[^\s,;"]+)`),
	}
}

func withoutSecrets(text string, patterns []*regexp.Regexp, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, secretMask)
		}
	}
	for _, pattern := range patterns {
		text = pattern.ReplaceAllString(text, "${1}"+secretMask+"${2}")
	}
	return text
}
