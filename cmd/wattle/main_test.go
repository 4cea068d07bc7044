package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wattle": main})
}

// TestScripts runs the command as a person would; exits checks exit codes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: slices.Contains(os.Args, "-update"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("WATTLE_DIR", "c")
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code, "big": big, "fixture": fixture, "address": address},
	})
}

// code runs `code N wattle ARGS…` and wants exit code N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [args…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// address runs `address VAR` and sets VAR to an address on which nobody listens.
func address(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// big runs `big FILE` and makes a file of 9 MB that fills several stripes.
func big(ts *testscript.TestScript, _ bool, args []string) {
	p := make([]byte, 9e6)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(p)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), p, 0o644))
}

func TestReorder(t *testing.T) {
	app := newApp(os.Stdin, os.Stdout, os.Stderr)
	for in, want := range map[string]string{
		"wattle put f b/k --json":                 "wattle put --json -- f b/k",
		"wattle --dir x put f b/k":                "wattle put --dir x -- f b/k",
		"wattle put f --dir x b/k --meta a=b":     "wattle put --dir x --meta a=b -- f b/k",
		"wattle put --dir=x f b/k":                "wattle put --dir=x -- f b/k",
		"wattle put - b/k":                        "wattle put -- - b/k",
		"wattle put -- -f b/k":                    "wattle put -- -f b/k",
		"wattle cat b/k --offset -100":            "wattle cat --offset -100 -- b/k",
		"wattle status":                           "wattle status",
		"wattle":                                  "wattle",
		"wattle --help":                           "wattle --help",
		"wattle get -r b/p out --help":            "wattle get -r --help -- b/p out",
		"wattle put x --generate-bash-completion": "wattle put x --generate-bash-completion",
	} {
		got, err := reorder(app, strings.Fields(in))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s\n got %s\nwant %s", in, strings.Join(got, " "), want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		errors.New("x"):            exitOther,
		usage("x"):                 exitUsage,
		cluster.ErrBadName:         exitUsage,
		cluster.ErrNoCluster:       exitNoBucket,
		cluster.ErrBucketNotFound:  exitNoBucket,
		cluster.ErrObjectNotFound:  exitNoObject,
		errDegraded:                exitDegraded,
		cluster.ErrTooManyFailures: exitRefused,
		cluster.ErrStaleCatalog:    exitRefused,
		cluster.ErrDataLost:        exitLost,
	} {
		if got := exitCode(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

// TestHelp: every command says what it does and shows an example.
func TestHelp(t *testing.T) {
	for _, c := range newApp(os.Stdin, os.Stdout, os.Stderr).Commands {
		if c.Usage == "" || !strings.Contains(c.Description, "Examples:") || !strings.Contains(c.Description, "wattle "+c.Name) {
			t.Errorf("%s: usage %q, description %q", c.Name, c.Usage, c.Description)
		}
		if !slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), "json") }) {
			t.Errorf("%s has no --json", c.Name)
		}
	}
}
