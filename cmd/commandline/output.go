package commandline

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"
)

// OutputFlag is the flag --output of commands that print text for people or JSON for programs.
func OutputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "text or json", Validator: func(value string) error {
		if value != "text" && value != "json" {
			return fmt.Errorf("%q is neither text nor json", value)
		}
		return nil
	}}
}

// WriteJSON writes a value as indented JSON.
func WriteJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
