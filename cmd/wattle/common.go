package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/gateway"
)

// An env is what a command runs in.
type env struct {
	dir     string
	json    bool
	quiet   bool
	verbose bool // say the energy of requests
	keyFile string
	getenv  func(string) string
	in      io.Reader
	out     io.Writer
	errOut  io.Writer
}

func envOf(c *cli.Context) *env {
	return &env{c.String("dir"), c.Bool("json"), c.Bool("quiet"), c.Bool("verbose"), c.String("key-file"), os.Getenv, c.App.Reader, c.App.Writer, c.App.ErrWriter}
}

// talk says something on stderr.
func (e *env) talk(format string, a ...any) {
	if !e.quiet {
		fmt.Fprintf(e.errOut, format+"\n", a...)
	}
}

// emit writes one JSON value on a line.
func (e *env) emit(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// document writes one indented JSON document.
func (e *env) document(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// options are those that every opening of the cluster has.
func (e *env) options() (o cluster.Options, err error) {
	o.Notify = e.talk
	o.Keys, err = e.ring()
	return o, err
}

func (e *env) open(ctx context.Context, readOnly bool) (*cluster.Cluster, error) {
	o, err := e.options()
	if err != nil {
		return nil, err
	}
	o.ReadOnly = readOnly
	return cluster.Open(ctx, e.dir, o)
}

// with opens the cluster for f and closes it after; an error of closing is an error.
func (e *env) with(ctx context.Context, readOnly bool, f func(*cluster.Cluster) error) error {
	c, err := e.open(ctx, readOnly)
	if err != nil {
		return err
	}
	err = f(c)
	if e := c.Close(); err == nil {
		err = e
	}
	return err
}

// adminSocket is where a server listens for commands, in the cluster's directory.
const adminSocket = "admin.sock"

// server returns the server that has the cluster open, if one answers.
func (e *env) server(ctx context.Context) (gateway.Admin, bool) {
	socket := filepath.Join(e.dir, adminSocket)
	if _, err := os.Stat(socket); err != nil {
		return gateway.Admin{}, false
	}
	a := gateway.DialAdmin(socket)
	return a, a.Answers(ctx)
}

// alone says of a command that no server can do for it what to do when one has the cluster open.
func (e *env) alone(ctx context.Context, err error) error {
	if errors.Is(err, cluster.ErrLocked) {
		if _, ok := e.server(ctx); ok {
			return fmt.Errorf("%w; it is a server: stop it for this command, and start it again", err)
		}
	}
	return err
}

// An upkeeper is the cluster, or the server that has it open.
type upkeeper interface {
	RepairWith(context.Context, cluster.RepairOptions) (cluster.RepairReport, error)
	Scrub(context.Context, cluster.ScrubOptions) (cluster.ScrubReport, error)
	Compact(context.Context, cluster.CompactOptions) (cluster.CompactReport, error)
	Rebalance(context.Context, cluster.RebalanceOptions) (cluster.RebalanceReport, error)
	SetTrash(context.Context, time.Duration) error
	Trash(context.Context) (time.Duration, error)
}

// withUpkeep opens the cluster for f, or has the server that has it open do the work.
func (e *env) withUpkeep(ctx context.Context, f func(upkeeper) error) error {
	cl, err := e.open(ctx, false)
	if errors.Is(err, cluster.ErrLocked) {
		if a, ok := e.server(ctx); ok {
			e.talk("the server that has %s open does it", e.dir)
			return f(a)
		}
	}
	if err != nil {
		return err
	}
	err = f(cl)
	if e := cl.Close(); err == nil {
		err = e
	}
	return err
}

// newTable is a table for people: aligned, without lines.
func newTable(header ...any) table.Writer {
	t := table.NewWriter()
	t.AppendHeader(header)
	t.SetStyle(table.StyleDefault)
	s := t.Style()
	s.Options = table.OptionsNoBordersAndSeparators
	s.Format.Header = 0
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	return t
}

func show(w io.Writer, t table.Writer) { fmt.Fprintln(w, t.Render()) }

func size(n int64) string {
	if n < 0 {
		return "-" + size(-n)
	}
	return humanize.Bytes(uint64(n))
}

func percent(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(part)/float64(whole))
}

// A bar shows progress on a terminal, and nothing elsewhere.
type bar struct {
	p *mpb.Progress
	b *mpb.Bar
}

func (e *env) bar(name string, total int64) *bar {
	f, ok := e.errOut.(*os.File)
	if e.quiet || !ok || !isatty.IsTerminal(f.Fd()) {
		return &bar{}
	}
	p := mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(150*time.Millisecond), mpb.WithWidth(40))
	b := p.New(total, mpb.BarStyle().Rbound("]").Lbound("["), mpb.PrependDecorators(decor.Name(name+" ")),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.Name("  "), decor.AverageSpeed(decor.SizeB1000(0), "% .1f"),
			decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))
	return &bar{p, b}
}

func (b *bar) add(n int64) {
	if b.b != nil {
		b.b.IncrInt64(n)
	}
}

func (b *bar) set(done, total int64) {
	if b.b != nil {
		b.b.SetTotal(total, false)
		b.b.SetCurrent(done)
	}
}

func (b *bar) done() {
	if b.b != nil {
		b.b.SetTotal(-1, true)
		b.p.Wait()
	}
}

// A feed is a reader that counts and that ends when ctx does.
type feed struct {
	ctx context.Context
	r   io.Reader
	b   *bar
}

func (f feed) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.r.Read(p)
	f.b.add(int64(n))
	return n, err
}

func arguments(c *cli.Context, least, most int, want string) error {
	if n := c.NArg(); n < least || most >= 0 && n > most {
		return usage("%s: want %s; see `wattle %s --help`", c.Command.Name, want, c.Command.Name)
	}
	return nil
}

// examples is the text of a command's help.
func examples(lines ...string) string {
	s := "Examples:"
	for _, l := range lines {
		s += "\n   " + l
	}
	return s
}
