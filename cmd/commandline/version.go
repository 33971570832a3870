package commandline

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/version"
)

// VersionCommand returns the command that prints which build the program is. agentProtocol is the version of the protocol that it uses with
// its agent on hosts; 0 means that it has none.
func VersionCommand(agentProtocol int) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version, commit, date, Go version and platform of this build", Flags: []cli.Flag{OutputFlag()},
		Action: func(_ context.Context, cmd *cli.Command) error {
			out, info := cmd.Root().Writer, version.Get()
			if cmd.String("output") == "json" {
				return WriteJSON(out, struct {
					version.Info
					AgentProtocol int `json:"agentProtocol,omitempty"`
				}{info, agentProtocol})
			}
			if _, err := fmt.Fprint(out, info); err != nil || agentProtocol == 0 {
				return err
			}
			_, err := fmt.Fprintf(out, "agent:    protocol %d\n", agentProtocol)
			return err
		},
	}
}
