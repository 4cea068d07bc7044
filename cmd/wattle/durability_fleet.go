package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/durability"
)

// A fleetAnswer is what drives of a fleet were seen to fail.
type fleetAnswer struct {
	Models []durability.FleetAFR `json:"models"`
	All    durability.FleetAFR   `json:"all"`
}

// fleetAFR counts daily files of drives and prints the AFR of each model.
func fleetAFR(e *env, c *cli.Context) error {
	var f durability.Fleet
	for _, name := range c.Args().Slice()[1:] {
		if err := readFleet(e, &f, name); err != nil {
			return err
		}
	}
	var a fleetAnswer
	a.Models, a.All = f.AFRs()
	if a.Models == nil {
		return usage("%v: no drives in it", c.Args().Slice()[1:])
	}
	if e.json {
		return e.document(a)
	}
	showFleet(e.out, a)
	return nil
}

func readFleet(e *env, f *durability.Fleet, name string) error {
	in := e.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	err := f.Read(name, in)
	if errors.Is(err, durability.ErrFleet) {
		return usageError{err}
	}
	return err
}

func showFleet(w io.Writer, a fleetAnswer) {
	t := newTable("model", "drive-days", "failures", "AFR %", "95 %")
	for _, m := range append(a.Models, a.All) {
		t.AppendRow([]any{m.Model, m.DriveDays, m.Failures, fmt.Sprintf("%.2f", 100*m.AFR), fmt.Sprintf("%.2f–%.2f", 100*m.Low, 100*m.High)})
	}
	show(w, t)
	fmt.Fprintf(w, "\nAFR = failures / drive-days x 365, with the exact interval of a Poisson count. As a band: --afr %.3g%%/%.3g%%/%.3g%%\n", 100*a.All.Low, 100*a.All.AFR, 100*a.All.High)
}
