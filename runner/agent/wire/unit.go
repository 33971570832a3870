package wire

import "time"

// Unit asks for the condition of a systemd unit.
type Unit struct {
	Name string `json:"name"`
	// Program is the file that the unit runs; empty for one that is not ours.
	Program string `json:"program,omitempty"`
	// Answers are what the unit has to answer.
	Answers []Question `json:"answers,omitempty"`
	// Patience is how long the unit may take to get into its condition.
	Patience time.Duration `json:"patience,omitempty"`
}

// Question is what a unit has to answer. It is asked on the unit's own host.
type Question struct {
	URL       string            `json:"url"`                 // http://, https://, or tcp:// for a connection that is accepted
	Authority string            `json:"authority,omitempty"` // for https: the file that the server is verified against, next to what the host trusts
	Header    map[string]string `json:"header,omitempty"`
	Status    []int             `json:"status,omitempty"` // which are good; default 200
}

// UnitState is the condition of a unit. Its texts are the host's: they are not trusted.
type UnitState struct {
	Works    bool     `json:"works"`
	Why      string   `json:"why,omitempty"` // it does not
	Active   string   `json:"active,omitempty"`
	Sub      string   `json:"sub,omitempty"`
	Result   string   `json:"result,omitempty"`   // as systemd names it
	Status   string   `json:"status,omitempty"`   // exit status of the process that ran last
	Restarts int      `json:"restarts,omitempty"` // by systemd itself, since it was started
	Stale    bool     `json:"stale,omitempty"`    // it runs another program than the one that is installed
	Journal  []string `json:"journal,omitempty"`  // the last lines
}
