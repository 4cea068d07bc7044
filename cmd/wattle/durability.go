package main

import (
	"github.com/urfave/cli/v2"
)

func durabilityCommand() *cli.Command {
	return &cli.Command{
		Name: "durability", Usage: "say how likely stored bytes are to be lost", Category: "energy", ArgsUsage: "check FILE.yaml",
		Description: `check runs a file of cases whose figures are known: each case with what was expected, what
came out, the tolerance and the verdict. It exits 1 when a case fails and 2 when one makes
no sense. The format and the models are in doc/durability.md.

` + examples("wattle durability check durability/testdata/cases.yaml", "wattle durability check --json - < cases.yaml"),
		Action: func(c *cli.Context) error {
			e := envOf(c)
			if c.Args().First() == "check" {
				if err := arguments(c, 2, 2, "check and one file (- for stdin)"); err != nil {
					return err
				}
				return checkCases(e, c.Args().Get(1))
			}
			return usage("durability: want check FILE.yaml; see `wattle durability --help`")
		},
	}
}
