package report

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Progress prints how far each host is, every few seconds.
type Progress struct {
	report *Report
	begin  time.Time
	done   chan struct{}
	mu     sync.Mutex
	hosts  []string
	need   map[string]int64
	sent   map[string]int64
	apart  map[string]bool
}

const progressEvery = 3 * time.Second

// NewProgress returns a progress that prints until it is stopped.
func NewProgress(report *Report) *Progress {
	p := &Progress{report: report, begin: time.Now(), done: make(chan struct{}), need: map[string]int64{}, sent: map[string]int64{}, apart: map[string]bool{}}
	go func() {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-ticker.C:
				p.print()
			}
		}
	}()
	return p
}

// Stop ends the printing.
func (p *Progress) Stop() { close(p.done) }

// Need is told how much a host needs.
func (p *Progress) Need(host string, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts = append(p.hosts, host)
	p.need[host] = bytes
}

// Sent is told that more was sent to a host.
func (p *Progress) Sent(host string, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[host] += bytes
}

// Apart is told that a host is slower than the others.
func (p *Progress) Apart(host string) {
	p.mu.Lock()
	first := !p.apart[host]
	p.apart[host] = true
	p.mu.Unlock()
	if first {
		p.report.Line(host, "slower than the others, which continue without it")
	}
}

func (p *Progress) print() {
	p.mu.Lock()
	defer p.mu.Unlock()
	seconds := time.Since(p.begin).Seconds()
	for _, host := range p.hosts {
		sent, need := p.sent[host], p.need[host]
		if sent == 0 || sent >= need {
			continue
		}
		rate := float64(sent) / seconds
		left := time.Duration(float64(need-sent) / rate * float64(time.Second)).Round(time.Second)
		p.report.Line(host, fmt.Sprintf("%s of %s, %s/s, %s left", Bytes(sent), Bytes(need), Bytes(int64(rate)), left))
	}
}

// Bytes writes a number of bytes for a person, in powers of 1000.
func Bytes(n int64) string {
	units := strings.Fields("B kB MB GB TB")
	value := float64(n)
	for value >= 1000 && len(units) > 1 {
		value /= 1000
		units = units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
