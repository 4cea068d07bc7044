package whatif

import (
	"fmt"
	"strings"
)

// sweeps tells whether a scenario asks for alternatives.
func (w Sweep) empty() bool { return len(w.Schemes) == 0 && len(w.Disks) == 0 && w.rest() == 1 }

// rest is the number of combinations of the lists besides schemes and disks.
func (w Sweep) rest() int {
	n := 1
	for _, l := range []int{len(w.Sites), len(w.Fills), len(w.Reserves), len(w.Amplifications), len(w.Layouts), len(w.PUEs), len(w.GPerKWh), len(w.SlotW)} {
		n *= max(l, 1)
	}
	return n
}

// Size is the number of choices that a sweep makes.
func (w Sweep) Size() int { return max(len(w.Schemes), 1) * max(len(w.Disks), 1) * w.rest() }

// at is choice i of a sweep, without a name; the lists turn like the digits of a number, the last fastest.
func (w Sweep) at(i int) Choice {
	digit := func(n int) int {
		d := i % max(n, 1)
		i /= max(n, 1)
		return d
	}
	var c Choice
	if d := digit(len(w.SlotW)); len(w.SlotW) > 0 {
		c.SlotW = &w.SlotW[d]
	}
	if d := digit(len(w.GPerKWh)); len(w.GPerKWh) > 0 {
		c.GPerKWh = &w.GPerKWh[d]
	}
	if d := digit(len(w.PUEs)); len(w.PUEs) > 0 {
		c.PUE = &w.PUEs[d]
	}
	if d := digit(len(w.Layouts)); len(w.Layouts) > 0 {
		c.Layout = w.Layouts[d]
	}
	if d := digit(len(w.Amplifications)); len(w.Amplifications) > 0 {
		c.Amplification = w.Amplifications[d]
	}
	if d := digit(len(w.Reserves)); len(w.Reserves) > 0 {
		c.Reserve = &w.Reserves[d]
	}
	if d := digit(len(w.Fills)); len(w.Fills) > 0 {
		c.Fill = w.Fills[d]
	}
	if d := digit(len(w.Sites)); len(w.Sites) > 0 {
		c.Sites = w.Sites[d]
	}
	if d := digit(len(w.Disks)); len(w.Disks) > 0 {
		c.Disk = w.Disks[d]
	}
	if d := digit(len(w.Schemes)); len(w.Schemes) > 0 {
		c.Scheme = w.Schemes[d]
	}
	return c
}

// name tells a choice from the others by what the sweep varies.
func (w Sweep) name(c Choice) string {
	parts := []string{}
	say := func(n int, text string) {
		if n > 1 {
			parts = append(parts, text)
		}
	}
	if c.Scheme != "" {
		parts = append(parts, c.Scheme)
	}
	if c.Disk != "" && (len(w.Disks) > 1 || c.Scheme == "") {
		parts = append(parts, c.Disk)
	}
	say(len(w.Sites), fmt.Sprintf("%d site%s", c.Sites, plural(c.Sites)))
	say(len(w.Fills), fmt.Sprintf("fill %v", c.Fill))
	if c.Reserve != nil {
		say(len(w.Reserves), fmt.Sprintf("reserve %v", *c.Reserve))
	}
	say(len(w.Amplifications), fmt.Sprintf("amplification %v", c.Amplification))
	say(len(w.Layouts), c.Layout)
	if c.PUE != nil {
		say(len(w.PUEs), "PUE "+c.PUE.String())
	}
	if c.GPerKWh != nil {
		say(len(w.GPerKWh), c.GPerKWh.String()+" g/kWh")
	}
	if c.SlotW != nil {
		say(len(w.SlotW), "slot "+c.SlotW.String()+" W")
	}
	return strings.Join(parts, " · ")
}
