package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder puts a command's flags before its arguments, wherever they were given, since the
// library stops reading flags at the first argument. Flags before the command go to it too.
// "--" ends the flags.
func reorder(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 || slices.Contains(args, "--generate-bash-completion") {
		return args, nil
	}
	var flags, rest []string
	var command *cli.Command
	known := app.Flags
	for i := 1; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case a == "-" || !strings.HasPrefix(a, "-"):
			if command == nil {
				if command = app.Command(a); command == nil {
					return append([]string{args[0], a}, args[i+1:]...), nil // the app says what is wrong
				}
				known = slices.Concat(app.Flags, command.Flags)
				continue
			}
			rest = append(rest, a)
		default:
			flags = append(flags, a)
			if takesValue(known, a) && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
		}
	}
	if command == nil {
		return args, nil
	}
	out := append([]string{args[0], command.Name}, flags...)
	if len(rest) > 0 {
		out = append(append(out, "--"), rest...)
	}
	return out, nil
}

// takesValue tells whether a flag is followed by its value.
func takesValue(known []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range known {
		if slices.Contains(f.Names(), name) {
			d, ok := f.(cli.DocGenerationFlag)
			return ok && d.TakesValue()
		}
	}
	return false
}
