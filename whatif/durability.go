package whatif

import (
	"fmt"
	"math"

	"github.com/wattle-storage/wattle/durability"
	"github.com/wattle-storage/wattle/energy"
	"github.com/wattle-storage/wattle/erasure"
)

// CodeOf is a scheme in the plain numbers of the durability model.
func CodeOf(s erasure.Scheme) durability.Code {
	switch s.Kind {
	case erasure.LRC:
		return durability.Code{K: s.K, M: s.R, L: s.L}
	case erasure.Product:
		data, parity := s.Row()
		return durability.Code{K: data, M: parity, Rows: s.Rows}
	}
	return durability.Code{K: s.K, M: s.M}
}

// A weighted system is a pool of an option, with its part of what users store.
type weighted struct {
	durability.System
	part float64
}

// systemsOf are the pools of an option as systems; what the option does not say (repair, rates
// of failures and disasters) is as in base. Drives are the pools' by the bytes they hold.
func systemsOf(o Option, base durability.System) ([]weighted, error) {
	pools := o.Pools
	if len(pools) == 0 {
		pools = []Pool{{Scheme: o.Scheme, StoredTB: Terabytes(o.StoredTB)}}
	}
	var list []weighted
	held, stored := 0.0, 0.0
	for _, pool := range pools {
		scheme, err := erasure.ParseModelled(pool.Scheme)
		if err != nil {
			return nil, err
		}
		s := base
		s.Code, s.Sites = CodeOf(scheme), o.Sites
		list = append(list, weighted{s, float64(pool.StoredTB)})
		stored += float64(pool.StoredTB)
		held += float64(pool.StoredTB) * s.Code.Overhead()
	}
	for i := range list {
		s := &list[i]
		drives := o.Drives * s.part * s.Code.Overhead() / held
		perSite := (s.Code.N() + o.Sites - 1) / o.Sites // a small pool shares the drives of others
		s.Disks = max(int(math.Ceil(drives-1e-9)), min(perSite*o.Sites, int(o.Drives)))
		s.Hosts = max(1, int(math.Ceil(o.Servers/float64(o.Sites)*drives/o.Drives-1e-9)))
		s.Hosts = min(s.Hosts, max(1, s.Disks/o.Sites))
		s.setDomains(o, base)
		s.CapacityTB = o.RawTB / o.Drives
		s.Fill = math.Min(1, held*o.Amplification/o.RawTB)
		s.part /= stored
	}
	return list, nil
}

// setDomains gives a system the racks and feeds that bursts strike: as base says, else the option's racks.
func (s *weighted) setDomains(o Option, base durability.System) {
	s.Racks, s.Feeds = min(base.Racks, s.Hosts), min(base.Feeds, s.Hosts)
	for _, b := range base.Bursts {
		if b.Domain == durability.Rack && base.Racks == 0 {
			s.Racks = max(1, min(s.Hosts, int(math.Ceil(o.Racks/float64(o.Sites)-1e-9))))
		}
	}
}

// SystemOf is an option of one scheme as a system; what the option does not say is as in base.
func SystemOf(o Option, base durability.System) (durability.System, error) {
	list, err := systemsOf(o, base)
	if err != nil {
		return durability.System{}, err
	}
	if len(list) != 1 {
		return durability.System{}, fmt.Errorf("%s: %d pools are not one system", o.Name, len(list))
	}
	return list[0].System, nil
}

// SetDurability fills in what is likely to be lost of an option; what the option does not say
// is as in base, whose zero has the defaults. Of several pools the shares lost add up, and the
// least that any survives counts.
func (o *Option) SetDurability(base durability.System) error {
	list, err := systemsOf(*o, base)
	if err != nil {
		return err
	}
	var alone, bursts, sites durability.Band
	none, away, rebuild, failures := durability.Point(1), 0.0, 0.0, math.MaxInt
	for _, s := range list {
		r, err := durability.Evaluate(s.System)
		if err != nil {
			return err
		}
		alone, bursts, sites = plus(alone, r.Independent.NOMDL, s.part), plus(bursts, r.WithBursts.NOMDL, s.part), plus(sites, r.WithSites.NOMDL, s.part)
		none = durability.Band{Low: none.Low * (1 - r.PDLAny.Low), Typical: none.Typical * (1 - r.PDLAny.Typical), High: none.High * (1 - r.PDLAny.High)}
		away += s.part * r.Availability.Unreadable
		rebuild, failures = math.Max(rebuild, r.Repair.TotalH), min(failures, r.Survives.Shards)
		if len(list) == 1 {
			o.PDLAny = lossEstimate(r.PDLAny, "")
		}
	}
	if len(list) > 1 {
		o.PDLAny = lossEstimate(durability.Band{Low: 1 - none.Low, Typical: 1 - none.Typical, High: 1 - none.High}, "")
	}
	o.NinesIndependent, o.NinesBursts, o.NinesDisasters = ninesEstimate(alone), ninesEstimate(bursts), ninesEstimate(sites)
	o.NOMDL = lossEstimate(sites, "of the stored bytes")
	up := 1 - away
	o.Availability, o.RebuildHours, o.FailuresSurvived = &up, &rebuild, &failures
	return nil
}

func plus(a, b durability.Band, part float64) durability.Band {
	return durability.Band{Low: a.Low + part*b.Low, Typical: a.Typical + part*b.Typical, High: a.High + part*b.High}
}

func ninesEstimate(b durability.Band) *Estimate {
	return &Estimate{Low: durability.Nines(b.High), Typical: durability.Nines(b.Typical), High: durability.Nines(b.Low), Unit: "nines a year", Status: energy.Model, Source: "model"}
}

func lossEstimate(b durability.Band, unit string) *Estimate {
	if unit != "" {
		unit += " "
	}
	return &Estimate{Low: b.Low, Typical: b.Typical, High: b.High, Unit: unit + "a year", Status: energy.Model, Source: "model"}
}

// unsafe says why options of a long stream have no durability.
const unsafe = "each is a few chains to solve: not answered in streams of more than 500 options; ask for fewer, or without --stream"

// safety gives options their durability; one whose layout has none says why.
func (a *answer) safety(options ...*Option) {
	base := a.s.Durability
	if r := a.s.Drive.AFR; r != nil && base.AFR == (durability.Band{}) {
		base.AFR = durability.Band{Low: r.Low, Typical: r.Typical, High: r.High}
	}
	for _, o := range options {
		if a.s.NoDurability {
			return
		}
		if err := o.SetDurability(base); err != nil {
			o.because("nines", err.Error())
		}
	}
}

// because says why a field is null.
func (o *Option) because(field, why string) {
	if o.Because == nil {
		o.Because = map[string]string{}
	}
	o.Because[field] = why
}
