// Command wattle is an object store that knows its watts.
//
// It keeps objects as erasure-coded shards on disks in several sites, survives the loss of
// a site, and says what a terabyte draws. See `wattle --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/erasure"
	"github.com/wattle-storage/wattle/placement"
)

// Exit codes.
const (
	exitOther    = 1
	exitUsage    = 2
	exitNoBucket = 3
	exitNoObject = 4
	exitDegraded = 5
	exitRefused  = 6
	exitLost     = 7
	exitSignal   = 130
)

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

// run is main with its world as arguments; it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what does not heed the first
	app := newApp(stdin, stdout, stderr)
	args, err := reorder(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "wattle: interrupted; nothing that was not finished is visible")
		return exitSignal
	}
	code := exitCode(err)
	if !errors.Is(err, errDegraded) || err.Error() != "" {
		fmt.Fprintf(stderr, "wattle: %v\n", err)
	}
	return code
}

// errDegraded is the outcome of a command that served everything, from what was left.
var errDegraded = errors.New("served, but degraded")

// A usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

func exitCode(err error) int {
	var u usageError
	switch {
	case errors.As(err, &u), errors.Is(err, cluster.ErrBadName), errors.Is(err, erasure.ErrScheme), errors.Is(err, placement.ErrMap),
		errors.Is(err, placement.ErrRule), errors.Is(err, cluster.ErrUnknownDomain), errors.Is(err, cluster.ErrRange), errors.Is(err, durability.ErrInput), errors.Is(err, cluster.ErrKey):
		return exitUsage
	case errors.Is(err, cluster.ErrDataLost):
		return exitLost
	case errors.Is(err, cluster.ErrTooManyFailures), errors.Is(err, cluster.ErrStaleCatalog), errors.Is(err, cluster.ErrFenced), errors.Is(err, cluster.ErrIncomplete):
		return exitRefused
	case errors.Is(err, cluster.ErrBucketNotFound), errors.Is(err, cluster.ErrNoCluster):
		return exitNoBucket
	case errors.Is(err, cluster.ErrObjectNotFound):
		return exitNoObject
	case errors.Is(err, errDegraded):
		return exitDegraded
	}
	return exitOther
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                   "wattle",
		Usage:                  "an object store that knows its watts",
		Description:            description,
		Reader:                 stdin,
		Writer:                 stdout,
		ErrWriter:              stderr,
		Flags:                  commonFlags(),
		Suggest:                true,
		EnableBashCompletion:   true,
		UseShortOptionHandling: false,
		HideVersion:            true,
		ExitErrHandler:         func(*cli.Context, error) {},
		OnUsageError:           onUsage,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("%q is not a command%s; `wattle --help` lists them", c.Args().First(), didYouMean(c.App, c.Args().First()))
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			initCommand(), demoCommand(),
			compareCommand(),
			mbCommand(), rbCommand(), putCommand(), getCommand(), catCommand(), lsCommand(), rmCommand(), statCommand(), cpCommand(), duCommand(), findCommand(),
			statusCommand(), failCommand(), restoreCommand(), corruptCommand(), repairCommand(), scrubCommand(), recoverCommand(),
			compactCommand(), addCommand(), drainCommand(), replaceCommand(), rebalanceCommand(), placementCommand(),
			fsckCommand(), doctorCommand(), backupCommand(), standbyCommand(), exportCommand(), trashCommand(), keyCommand(),
			energyCommand(), whatifCommand(), claimsCommand(), durabilityCommand(), profilesCommand(), serveCommand(), userCommand(), bucketCommand(), benchCommand(), completionCommand(),
			importCommand(), planCommand(), reportCommand(), calibrateCommand(),
		},
	}
	for _, c := range app.Commands {
		c.Flags = append(c.Flags, commonFlags()...)
		c.OnUsageError = onUsage
	}
	return app
}

const description = `Objects live in buckets and are addressed as bucket/key (also s3://bucket/key); - is
stdin or stdout. Answers go to stdout, talk to stderr. A cluster lies in the directory that
--dir or WATTLE_DIR names, ./wattle-data by default.

A session:
   wattle init
   wattle mb photos
   wattle put fjord.jpg photos/fjord.jpg
   wattle fail site site2
   wattle get photos/fjord.jpg copy.jpg
   wattle restore site site2 && wattle repair
   wattle status && wattle energy

Exit codes: 0 done, 1 other, 2 usage, 3 bucket or cluster not found, 4 object not found,
5 served but degraded, 6 refused: would break the durability promise, 7 data lost, 130 interrupted.`

func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "dir", Usage: "the cluster's `DIRECTORY`", EnvVars: []string{"WATTLE_DIR"}, Value: "wattle-data"},
		&cli.StringFlag{Name: "key-file", Usage: "`FILE` with the keys of an encrypted cluster; or the keys themselves in WATTLE_KEYS", EnvVars: []string{"WATTLE_KEY_FILE"}},
		&cli.BoolFlag{Name: "json", Usage: "answer in JSON"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no talk on stderr"},
	}
}
