package commandline

import (
	"context"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/imagespec/clusterfile"
)

// arguments checks the words that are left when flags are read.
func (k *keeper) arguments(_ context.Context, cmd *cli.Command) error {
	k.called = cmd
	if cmd.SkipFlagParsing {
		return nil
	}
	if err := flagsBefore(cmd); err != nil {
		return err
	}
	if err := k.words(cmd); err != nil {
		return err
	}
	words, takes := cmd.Args().Slice(), cmd.ArgsUsage
	switch {
	case takes == "" && len(words) > 0:
		return Usagef("%s takes no arguments, and got %s", commandPath(cmd), quoted(words))
	case len(words) > 1 && !strings.Contains(takes, "…"):
		return Usagef("%s takes one %s, and got %d: %s", commandPath(cmd), strings.Trim(takes, "[]"), len(words), quoted(words))
	case takes != "" && len(words) == 0 && !strings.HasPrefix(takes, "["):
		return Usagef("no %s given: %s %s", strings.Trim(takes, "[]…"), cmd.FullName(), takes)
	}
	return k.variables(cmd)
}

// flagsBefore refuses flags between the program and a command: they would be read, and lost.
func flagsBefore(cmd *cli.Command) error {
	for _, above := range cmd.Lineage()[1:] {
		for _, flag := range above.Flags {
			if !flag.IsSet() {
				continue
			}
			name := flag.Names()[0]
			for _, own := range cmd.Flags {
				if own.Names()[0] == name {
					return Usagef("flag %s is before the command; write %s %[1]s", dashed(name), cmd.FullName())
				}
			}
			return Usagef("unknown flag %s for %s", dashed(name), commandPath(cmd))
		}
	}
	return nil
}

// words checks those that should name images or commands.
func (k *keeper) words(cmd *cli.Command) error {
	for _, word := range cmd.Args().Slice() {
		switch {
		case strings.TrimSpace(word) == "" && cmd.ArgsUsage != "":
			return Usagef("an argument is empty; is a variable of the shell not set?")
		case len(cmd.Commands) > 0 && !strings.Contains(cmd.ArgsUsage, "IMAGE"):
			return unknownCommand(cmd, word)
		case !strings.Contains(cmd.ArgsUsage, "IMAGE") || strings.ContainsAny(word, "/:@.") && !strings.HasPrefix(word, "-"):
			continue
		case strings.HasPrefix(word, "-"):
			return Usagef("%q is not an image: write flags before --, and a file of that name as ./%[1]s", printable(word))
		case k.program.Command(word) != nil:
			return Usagef("%q is a command, and a command is the first word: %s %[1]s", printable(word), k.program.Name)
		case cmd == k.program:
			return unknownCommand(cmd, word)
		}
		return Usagef("%q is not an image: %s", printable(word), instead(word))
	}
	return nil
}

// unknownCommand suggests a command, or how to write what was meant as an image.
func unknownCommand(cmd *cli.Command, word string) error {
	if like := clusterfile.Nearest(word, commandNames(cmd)); like != "" {
		return Usagef("unknown command %q; did you mean %q?", printable(word), like)
	}
	if strings.Contains(cmd.ArgsUsage, "IMAGE") && !strings.HasPrefix(word, "-") {
		return Usagef("unknown command %q; %s", printable(word), instead(word))
	}
	return Usagef("unknown command %q", printable(word))
}

// instead returns how to write a word that is meant as an image.
func instead(word string) string {
	if _, err := os.Stat(word); err == nil {
		return "for the file or directory of that name write ./" + printable(word)
	}
	return "for an image of that name write " + printable(word) + ":latest"
}

// longestWord is how much of a word is shown.
const longestWord = 64

func printable(word string) string {
	if len(word) > longestWord {
		word = word[:longestWord] + "…"
	}
	return strings.ToValidUTF8(word, "?")
}

func quoted(words []string) string {
	const enough = 3
	var all []string
	for _, word := range words[:min(enough, len(words))] {
		all = append(all, `"`+printable(word)+`"`)
	}
	if len(words) > enough {
		all = append(all, "…")
	}
	return strings.Join(all, ", ")
}

// commandNames are those that a person may call.
func commandNames(cmd *cli.Command) []string {
	var names []string
	for _, sub := range cmd.Commands {
		if !sub.Hidden {
			names = append(names, sub.Name)
		}
	}
	return names
}

// noHelpFor is called for --help with an argument that is not a command: an image is not, and other words may be meant as one.
func (k *keeper) noHelpFor(ctx context.Context, cmd *cli.Command, word string) {
	switch {
	case len(cmd.Commands) == 0:
		k.noHelp = cli.ShowCommandHelp(ctx, cmd.Lineage()[1], cmd.Name)
	case strings.Contains(cmd.ArgsUsage, "IMAGE") && strings.ContainsAny(word, "/:@."):
		k.noHelp = cli.ShowRootCommandHelp(cmd)
	default:
		k.noHelp = unknownCommand(cmd, word)
	}
}

// help is the command that explains the others.
func (k *keeper) help() *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "show the commands, or how one is called", ArgsUsage: "[COMMAND…]", HideHelp: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			at := k.program
			for _, word := range cmd.Args().Slice() {
				next := at.Command(word)
				if next == nil {
					return unknownCommand(&cli.Command{Commands: at.Commands}, word)
				}
				if err := cli.ShowCommandHelp(ctx, at, word); err != nil {
					return err
				}
				at = next
			}
			if at == k.program {
				return cli.ShowRootCommandHelp(at)
			}
			return nil
		},
	}
}
