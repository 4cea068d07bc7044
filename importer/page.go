package importer

import (
	"fmt"
	"io"
	"strings"

	"github.com/wattle-storage/wattle/whatif"
)

// HTML writes the first answer as one page that opens offline: what stands, what it draws, the
// levers and what is unsafe, and the energy model's page of them.
func (a *Answer) HTML(w io.Writer) error {
	r := a.Report
	r.Name = "As found: " + a.Found.title()
	r.Sections = []whatif.Section{a.standing(), {Title: "Drives", Head: []string{"model", "drives", "TB", "turns in", "watts by"}, Rows: a.driveRows()}}
	if rows := a.poolRows(); len(rows) > 0 {
		r.Sections = append(r.Sections, whatif.Section{Title: "Pools", Head: []string{"pool", "scheme", "stored", "apart by", "placement groups", "survives"}, Rows: rows})
	}
	r.Sections = append(r.Sections, a.leverSection())
	if len(a.Findings) > 0 {
		s := whatif.Section{Title: "Safety", Head: []string{"what", "level", "why", "do"}}
		for _, f := range a.Findings {
			s.Rows = append(s.Rows, []string{f.What, f.Level, f.Why, f.Do})
		}
		r.Sections = append(r.Sections, s)
	}
	for _, x := range []struct {
		title string
		list  []Note
	}{{"Guessed", a.Guessed}, {"Missing", a.Missing}} {
		if len(x.list) > 0 {
			s := whatif.Section{Title: x.title}
			for _, n := range x.list {
				s.List = append(s.List, n.String())
			}
			r.Sections = append(r.Sections, s)
		}
	}
	return r.HTML(w, false)
}

func tb(bytes int64) string {
	if bytes > 0 && bytes < 1e10 {
		return fmt.Sprintf("%.3g GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%.4g TB", float64(bytes)/1e12)
}

func (a *Answer) standing() whatif.Section {
	f, o, c := a.Found, a.Answer, a.Found.Sizes
	hosts, racks := 0, 0
	for _, s := range f.Sites {
		hosts, racks = hosts+s.Hosts, racks+s.Racks
	}
	s := whatif.Section{Title: "What stands today"}
	s.Lines = append(s.Lines, fmt.Sprintf("%s in %s, %s, %s: %s raw, %s in use; %s stored of %s usable.", count(f.DriveCount(), "drive"), count(hosts, "server"), count(racks, "rack"), count(len(f.Sites), "site"), tb(c.Raw), tb(c.Used), tb(c.Stored), tb(c.Usable)))
	line := fmt.Sprintf("A year: %s kWh", whatif.Short(o.KWhPerYear))
	if o.KgLocation != nil {
		line += fmt.Sprintf(", %s t CO2e", whatif.Short(scaleBy(*o.KgLocation, 1e-3)))
	}
	if o.EUREnergy != nil {
		line += fmt.Sprintf(", %s euro", whatif.Short(*o.EUREnergy))
	}
	s.Lines = append(s.Lines, line+".", fmt.Sprintf("%s W: %s W a raw TB, %s W a stored TB.", whatif.Short(o.Watts), whatif.Short(o.WPerRawTB), whatif.Short(o.WPerStoredTB)))
	return s
}

func (a *Answer) driveRows() (rows [][]string) {
	for _, b := range a.Found.Fleet {
		rows = append(rows, []string{or(b.Model, "not known") + map[bool]string{true: " (databases)"}[b.Role == Journal], fmt.Sprint(b.Count), tb(b.Bytes), b.Technology, string(b.How) + ": " + b.Why})
	}
	return rows
}

func (a *Answer) poolRows() (rows [][]string) {
	for _, p := range a.Found.Pools {
		survives := "-"
		if p.known {
			survives = a.Found.toleranceOf(p.Name, p.scheme).String()
		}
		rows = append(rows, []string{p.Name, or(p.Scheme, "not known"), tb(p.Stored), or(p.Domain, "-"), groupsOf(p), survives})
	}
	return rows
}

func groupsOf(p Pool) string {
	if p.PGs == 0 {
		return "-"
	}
	return fmt.Sprint(p.PGs)
}

func (a *Answer) leverSection() whatif.Section {
	s := whatif.Section{Title: "Levers", Lines: []string{a.Verdict + "."}, Head: []string{"lever", "alone", "what", "together", "needs", "breaks"}}
	for i, l := range a.Levers {
		joint := "-"
		if i > 0 {
			joint = whatif.Short(*l.Joint)
		}
		s.Rows = append(s.Rows, []string{l.Name, whatif.Short(l.Factor), fmt.Sprintf("%s; leaves %s, %s; saves %s kWh a year", l.What, count(l.Servers, "server"), count(l.Drives, "drive"), whatif.Short(l.KWh)), joint, strings.Join(l.Needs, "; "), strings.Join(l.Breaks, "; ")})
	}
	if len(a.Levers) > 1 {
		s.Lines = append(s.Lines, fmt.Sprintf("The factors multiply to %.3f; worked out together they give %s.", a.Product, whatif.Short(*a.Joint)))
	}
	for _, l := range a.Others {
		s.List = append(s.List, fmt.Sprintf("%s (%s): %s alone; %s", l.Name, l.What, whatif.Short(l.Factor), l.Why))
	}
	return s
}
