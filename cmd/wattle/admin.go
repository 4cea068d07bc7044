package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/gateway"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show the cluster: map, disks, what it survives", Category: "cluster",
		Description: examples("wattle status", "wattle status --json | jq .survives"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, true, func(cl *cluster.Cluster) error {
				s, err := cl.Status(c.Context)
				if err != nil {
					return err
				}
				a := statusAnswer{Status: s}
				if a.Quotas, err = gateway.Quotas(c.Context, cl); err != nil {
					return err
				}
				if server, ok := e.server(c.Context); ok {
					if a.Upkeep, err = server.Jobs(c.Context); err != nil {
						return err
					}
				}
				if e.json {
					return e.document(a)
				}
				showStatus(e.out, s)
				showQuotas(e.out, a.Quotas)
				showJobs(e.out, a.Upkeep)
				return nil
			})
		},
	}
}

// A statusAnswer is what status prints; Upkeep is what a running server is at.
type statusAnswer struct {
	cluster.Status
	Quotas []gateway.Quota `json:"quotas"`
	Upkeep []gateway.Job   `json:"upkeep,omitempty"`
}

// mostQuotas is how many quotas status shows, the fullest.
const mostQuotas = 5

func showQuotas(w io.Writer, list []gateway.Quota) {
	for i, q := range list {
		if i == mostQuotas {
			fmt.Fprintf(w, "and %s less full; `wattle bucket list` and `wattle user list` have the limits\n", count(len(list)-i, "quota"))
			break
		}
		name, of := q.Bucket, ""
		if q.User != "" {
			name = "user " + q.User
		}
		if q.Limits.Bytes > 0 {
			of = fmt.Sprintf("%s of %s", size(q.Usage.Bytes), size(q.Limits.Bytes))
		}
		if q.Limits.Objects > 0 {
			if of != "" {
				of += ", "
			}
			of += fmt.Sprintf("%s of %s objects", humanize.Comma(q.Usage.Objects), humanize.Comma(q.Limits.Objects))
		}
		fmt.Fprintf(w, "quota of %s: %s (%.0f %%)\n", name, of, 100*q.Part)
	}
}

func showJobs(w io.Writer, list []gateway.Job) {
	for _, j := range list {
		far := ""
		if j.Total > 0 {
			far = ", " + percent(j.Done, j.Total)
		}
		fmt.Fprintf(w, "the server is at work: %s since %s%s\n", j.What, j.Began.Format(time.RFC3339), far)
	}
}

func showStatus(w io.Writer, s cluster.Status) {
	fmt.Fprintf(w, "%s | %d sites | survives %s (when whole: %s)\n", s.Scheme, len(s.Sites), survives(s.Survives), survives(s.Promise))
	fmt.Fprintf(w, "%s objects in %s, %s stored, %s raw, of %s usable (%s raw)\n", humanize.Comma(s.Objects), count(int(s.Buckets), "bucket"),
		size(s.StoredBytes), size(s.RawBytes), size(s.UsableBytes), size(s.CapacityBytes))
	if s.Key != "" {
		fmt.Fprintf(w, "encrypted with key %s\n", s.Key)
	}
	fmt.Fprintf(w, "stripes: %s, %s degraded, %s unreadable; %s\n", humanize.Comma(s.Stripes.Total), humanize.Comma(s.Stripes.Degraded),
		humanize.Comma(s.Stripes.Unreadable), count(int(s.PendingRepairs), "pending repair"))
	if s.Stripes.Misplaced > 0 {
		fmt.Fprintf(w, "%s misplaced: their shards lie where the rule does not allow them\n", count(int(s.Stripes.Misplaced), "stripe"))
	}
	switch {
	case !s.Writable:
		fmt.Fprintf(w, "read-only now: %s\n", s.Why)
	case s.Survives == s.Promise:
		fmt.Fprintln(w, down(s))
	default:
		fmt.Fprintln(w, "puts are taken now")
	}
	showStandby(w, s.Standby)
	fmt.Fprintln(w)
	showMap(w, s)
}

func showStandby(w io.Writer, s *cluster.StandbyStatus) {
	switch {
	case s == nil:
	case s.Error != "":
		fmt.Fprintf(w, "standby %s: behind by %s, since %s at most; %s\n", s.Directory, count(int(s.Behind), "batch"), ago(s.Seconds), s.Error)
	case s.Behind > 0:
		fmt.Fprintf(w, "standby %s: behind by %s, since %s at most\n", s.Directory, count(int(s.Behind), "batch"), ago(s.Seconds))
	default:
		fmt.Fprintf(w, "standby %s: has everything, up to batch %s\n", s.Directory, humanize.Comma(int64(s.Batch)))
	}
}

// ago is an age for people.
func ago(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// showMap draws sites, racks and hosts with a mark for each disk.
func showMap(w io.Writer, s cluster.Status) {
	for _, site := range s.Sites {
		var used, capacity int64
		for _, d := range site.Disks {
			used += d.Used
			capacity += d.Capacity
		}
		fmt.Fprintf(w, "%s  %s of %s\n", site.Name, size(used), size(capacity))
		last := ""
		for _, d := range site.Disks {
			host, _ := splitLast(strings.TrimPrefix(d.Name, site.Name+"/"))
			if host != last {
				if last != "" {
					fmt.Fprintln(w)
				}
				fmt.Fprintf(w, "  %-16s", host)
				last = host
			}
			fmt.Fprintf(w, "  %s %-10s %9s %6s", diskMark(d), d.Profile, size(d.Used), offTarget(d))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "\n● active  ○ failed  ✗ missing  ! suspect  ▽ draining; percent: live bytes against the disk's share")
}

func diskMark(d cluster.DiskStatus) string {
	if d.Draining && d.State == "active" {
		return "▽"
	}
	return mark(d.State)
}

// offTarget is a disk's live bytes against its share of all.
func offTarget(d cluster.DiskStatus) string {
	if d.Target == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*float64(d.Live)/float64(d.Target))
}

func splitLast(name string) (string, string) {
	i := strings.LastIndex(name, "/")
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

func mark(state string) string {
	if m := map[string]string{"active": "●", "failed": "○", "missing": "✗", "suspect": "!"}[state]; m != "" {
		return m
	}
	return "?"
}

func failCommand() *cli.Command {
	return domainCommand("fail", "take a disk, host, rack or site out of service, as if it were lost", "failed", cluster.Fail, gateway.Admin.Fail,
		"wattle fail site site2", "wattle fail site1/rack1", "wattle fail disk site1/rack1/host1/disk2")
}

func restoreCommand() *cli.Command {
	return domainCommand("restore", "put it back into service; a disk whose directory is gone is made anew, empty", "active", cluster.Restore, gateway.Admin.Restore,
		"wattle restore site site2", "wattle restore site1/rack1/host1/disk2")
}

// domainCommand takes a domain with or without its kind before it. While a server runs, it
// does the work.
func domainCommand(name, text, state string, f func(dir, domain string) ([]string, error), served func(gateway.Admin, context.Context, string) ([]string, error), help ...string) *cli.Command {
	return &cli.Command{
		Name: name, Usage: text, ArgsUsage: "[site|rack|host|disk] NAME", Category: "cluster", Description: examples(help...),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 2, "the name of a disk, host, rack or site"); err != nil {
				return err
			}
			domain := c.Args().Get(c.NArg() - 1)
			if c.NArg() == 2 {
				switch kind := c.Args().First(); kind {
				case "site", "rack", "host", "disk":
				default:
					return usage("%q is not a kind of domain: want site, rack, host or disk", kind)
				}
			}
			e := envOf(c)
			var names []string
			var err error
			if a := gateway.DialAdmin(filepath.Join(e.dir, adminSocket)); a.Answers(c.Context) {
				names, err = served(a, c.Context, domain)
			} else {
				names, err = f(e.dir, domain)
			}
			if err != nil {
				return err
			}
			if e.json {
				return e.document(map[string]any{"domain": domain, "state": state, "disks": names})
			}
			fmt.Fprintf(e.out, "%s: %s %s\n", domain, count(len(names), "disk"), state)
			return nil
		},
	}
}

func corruptCommand() *cli.Command {
	return &cli.Command{
		Name: "corrupt", Usage: "flip bits in shards of an object, to see what happens", ArgsUsage: "BUCKET/KEY", Category: "cluster",
		Description: examples("wattle corrupt photos/fjord.jpg", "wattle corrupt photos/fjord.jpg --shards 3 --seed 7"),
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "shards", Value: 1, Usage: "in `N` shards of each stripe"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`SEED` of what is flipped"},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1, "an address"); err != nil {
				return err
			}
			if c.Int("shards") < 1 {
				return usage("--shards %d: want 1 or more", c.Int("shards"))
			}
			bucket, key, err := object(c.Args().First())
			if err != nil {
				return err
			}
			e := envOf(c)
			return e.with(c.Context, false, func(cl *cluster.Cluster) error {
				where, err := cl.Corrupt(c.Context, bucket, key, c.Int("shards"), c.Uint64("seed"))
				if err != nil {
					return err
				}
				if e.json {
					return e.document(map[string]any{"object": bucket + "/" + key, "corrupted": where})
				}
				for _, w := range where {
					fmt.Fprintln(e.out, w)
				}
				return nil
			})
		},
	}
}

func recoverCommand() *cli.Command {
	return &cli.Command{
		Name: "recover", Usage: "make the catalog anew from the disks alone", Category: "cluster",
		Description: "Replays the journals that ride in the shards. As many disks may be missing as the\nscheme stands, or a site. An old catalog is kept beside the new one.\n\n" + examples("wattle recover", "wattle recover --from /mnt/other/wattle/wattle-catalog-….db"),
		Flags: []cli.Flag{&cli.StringFlag{Name: "from", Usage: "begin from this `COPY` of the catalog, made by backup"},
			&cli.BoolFlag{Name: "force", Usage: "do without acknowledged changes that are on no disk that is there; repair then removes what only they knew"}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0, "no arguments"); err != nil {
				return err
			}
			e := envOf(c)
			o, err := e.options()
			if err != nil {
				return err
			}
			o.From, o.Force = c.String("from"), c.Bool("force")
			r, err := cluster.Recover(c.Context, e.dir, o, nil)
			if err != nil {
				return err
			}
			if e.json {
				return e.document(r)
			}
			fmt.Fprintf(e.out, "recovered %s in %s from %s and %s batches", count(int(r.Objects), "object"), count(int(r.Buckets), "bucket"), count(r.Disks, "disk"), humanize.Comma(r.Batches))
			if len(r.Missing) > 0 {
				fmt.Fprintf(e.out, "; %s missing", count(len(r.Missing), "disk"))
			}
			if r.Degraded > 0 {
				fmt.Fprintf(e.out, "; %s degraded", count(int(r.Degraded), "stripe"))
			}
			fmt.Fprintln(e.out)
			for _, u := range r.Uncertain {
				e.talk("%s", u)
			}
			if len(r.Unreadable) > 0 {
				return fmt.Errorf("%s: %w: %s", count(len(r.Unreadable), "object"), cluster.ErrDataLost, shorten(r.Unreadable, 5))
			}
			return nil
		},
	}
}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a completion script for a shell", ArgsUsage: "bash|zsh|fish", Category: "help",
		Description: examples("source <(wattle completion bash)", "wattle completion zsh > \"${fpath[1]}/_wattle\"", "wattle completion fish | source"),
		Action: func(c *cli.Context) error {
			scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion}
			switch shell := c.Args().First(); {
			case shell == "fish":
				s, err := c.App.ToFishCompletion()
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(c.App.Writer, s)
				return err
			case scripts[shell] != "":
				_, err := fmt.Fprint(c.App.Writer, scripts[shell])
				return err
			}
			return usage("completion: want bash, zsh or fish")
		},
	}
}

const bashCompletion = `_wattle() {
  local cur=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=($(compgen -W "$("${COMP_WORDS[@]:0:COMP_CWORD}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
  [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o bashdefault -o default -F _wattle wattle
`

const zshCompletion = `#compdef wattle
_wattle() {
  local -a found
  found=("${(@f)$("${words[@]:0:CURRENT-1}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n "${found[1]}" ]]; then _describe wattle found; else _files; fi
}
compdef _wattle wattle
`
