package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/importer"
	"github.com/wattle-storage/wattle/whatif"
)

func calibrateCommand() *cli.Command {
	return &cli.Command{
		Name: "calibrate", Usage: "fit the energy model to measured watts", Category: "energy", ArgsUsage: "READINGS…",
		Description: "Reads Redfish, ipmitool's power reading, Prometheus text (ipmi_dcmi_power_consumption_watts, kepler_platform_watts, any\n" +
			"…_watts), CSV (timestamp,watts[,host,phase,drives]) and openSeaChest's power telemetry. Phases are idle and load,\n" +
			"each of 10 minutes to settle and 20 of mean. What stands at the meters is told by --cluster, by a column drives,\n" +
			"or by --drives.\n\n" + examples(
			"wattle calibrate plug.csv --drives 12 --disk seagate-x16-16tb",
			"wattle calibrate kepler.prom --cluster report.json",
			"wattle calibrate idle.csv load.csv --drives 24 --disk class-helium@16TB --json"),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "cluster", Usage: "`FILE` of wattle import, whose hosts stand at the meters"},
			&cli.IntFlag{Name: "drives", Usage: "`DRIVES` in each server, where nothing else tells"},
			&cli.StringFlag{Name: "disk", Usage: "`PROFILE` of the drives; default that of the cluster's largest batch, or class-hdd"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, -1, "files of power readings"); err != nil {
				return err
			}
			return runCalibrate(envOf(c), c)
		},
	}
}

func runCalibrate(e *env, c *cli.Context) error {
	files, err := inputFiles(c.Args().Slice(), c.App.Reader)
	if err != nil {
		return usageError{err}
	}
	readings, warnings, err := importer.ReadPower(files)
	if err != nil {
		return usageError{err}
	}
	m, err := machineOf(c)
	if err != nil {
		return usageError{err}
	}
	points, more := importer.Means(readings)
	cal, err := importer.Calibrate(points, m)
	if err != nil {
		return asUsage(err)
	}
	cal.Warnings = append([]string{}, slices.Concat(warnings, more, cal.Warnings)...)
	if e.json {
		return e.document(cal)
	}
	showCalibration(e.out, cal)
	return nil
}

// machineOf is what stands at the meters.
func machineOf(c *cli.Context) (m importer.Machine, err error) {
	if m.Drives = c.Int("drives"); m.Drives < 0 || m.Drives > 1000 {
		return m, fmt.Errorf("--drives %d: want 0 to 1000", m.Drives)
	}
	disk := "class-hdd"
	if names := c.StringSlice("cluster"); len(names) > 0 {
		files, err := inputFiles(names, c.App.Reader)
		if err != nil {
			return m, err
		}
		if m.Found, err = importer.Read(files, importer.Options{KeepNames: true}); err != nil {
			return m, err
		}
		disk = m.Found.MainProfile()
	}
	if name := c.String("disk"); name != "" {
		disk = name
	}
	m.Disk, err = energy.Lookup(disk)
	return m, err
}

func showCalibration(w io.Writer, c *importer.Calibration) {
	t := newTable("parameter", "before", "after", "narrower by")
	for _, p := range c.Parameters {
		t.AppendRow([]any{p.Name, whatif.Short(p.Before), whatif.Short(p.After), narrower(p)})
	}
	show(w, t)
	r := c.Residual
	fmt.Fprintf(w, "\nresidual: %.1f W (%.1f %%) over %s, the worst %+.1f %%\n", r.RMS, 100*r.Part, count(r.N, "point"), 100*r.Worst)
	var flags []string
	for _, x := range []struct{ id, flag string }{{"server_w", "--server-w"}, {"slot_w", "--slot"}, {"psu_efficiency", "--psu"}} {
		if v, ok := c.Inputs[x.id]; ok {
			flags = append(flags, fmt.Sprintf("%s %.4g/%.4g/%.4g", x.flag, v.Low, v.Typical, v.High))
		}
	}
	fmt.Fprintf(w, "for wattle import, plan and whatif: %s\n", strings.Join(flags, " "))
	if len(c.Warnings) > 0 {
		fmt.Fprintln(w, "\nWarnings")
		for _, x := range c.Warnings {
			fmt.Fprintf(w, "  %s\n", x)
		}
	}
}

// narrower is how much of a band went, as a ratio of its ends.
func narrower(p importer.Parameter) string {
	before, after := p.Before.High/p.Before.Low, p.After.High/p.After.Low
	return fmt.Sprintf("%.0f %%", 100*(1-(after-1)/(before-1)))
}
