// Package workload turns requests into the I/Os that drives see.
//
// How many I/Os a request costs depends on the layout. Packed, as Wattle stores objects: a
// small object lies in one data shard, so that a read is one I/O; a large one spreads over the
// data shards. Striped, as many stores do: every object is cut in k, so that every read
// touches k drives. A degraded read touches k in both. A write touches all n shards of a
// stripe; packed writes that come together share a stripe.
package workload

import (
	"errors"
	"fmt"
	"math"
)

// A Layout says how objects lie in stripes.
type Layout string

// The layouts.
const (
	Packed  Layout = "packed"
	Striped Layout = "striped"
)

// A Load is what users ask for, on average, unless a field says otherwise. The zero Load asks
// for nothing.
type Load struct {
	Reads, Writes float64 // requests a second
	ReadBytes     float64 // size of an object read; default 64 KiB
	WriteBytes    float64 // size of an object written; default 64 KiB
	Layout        Layout  // default Packed
	Burst         float64 // objects that share a stripe when written; default 1
	Degraded      float64 // part of the reads that are degraded
	Peak          float64 // peak rate over mean rate; default 1
}

// Small is the size up to which a packed object lies in one data shard, and the size of a
// request that a drive serves as one random I/O.
const Small = 64 << 10

// shardBytes is the largest shard, the unit in which large objects spread.
const shardBytes = 256 << 10

// ErrLoad is the error of a load that cannot be.
var ErrLoad = errors.New("bad workload")

// WithDefaults returns l with its defaults filled in.
func (l Load) WithDefaults() Load {
	l.ReadBytes, l.WriteBytes = orElse(l.ReadBytes, Small), orElse(l.WriteBytes, Small)
	l.Burst, l.Peak = orElse(l.Burst, 1), orElse(l.Peak, 1)
	if l.Layout == "" {
		l.Layout = Packed
	}
	return l
}

func orElse(v, other float64) float64 {
	if v == 0 {
		return other
	}
	return v
}

// Validate tells why a load cannot be, if so.
func (l Load) Validate() error {
	for _, f := range []struct {
		name        string
		v, low, top float64
	}{
		{"reads", l.Reads, 0, 1e12}, {"writes", l.Writes, 0, 1e12},
		{"read_bytes", l.ReadBytes, 0, 1e15}, {"write_bytes", l.WriteBytes, 0, 1e15},
		{"burst", l.Burst, 0, 1e6}, {"degraded", l.Degraded, 0, 1}, {"peak", l.Peak, 0, 1e6},
	} {
		if math.IsNaN(f.v) || f.v < f.low || f.v > f.top {
			return fmt.Errorf("%w: %s %v: want %v to %v", ErrLoad, f.name, f.v, f.low, f.top)
		}
	}
	if l.Peak != 0 && l.Peak < 1 {
		return fmt.Errorf("%w: peak %v: the peak cannot be below the mean", ErrLoad, l.Peak)
	}
	if l.Burst != 0 && l.Burst < 1 {
		return fmt.Errorf("%w: burst %v: want 1 or more", ErrLoad, l.Burst)
	}
	if l.Layout != "" && l.Layout != Packed && l.Layout != Striped {
		return fmt.Errorf("%w: layout %q: want packed or striped", ErrLoad, l.Layout)
	}
	return nil
}

// An IO is what one request costs its drives.
type IO struct {
	Random     float64 // small I/Os
	Sequential float64 // bytes beyond them
}

// Read is the cost of one read under a code of k data shards; 1 for copies.
func (l Load) Read(k int) IO {
	l = l.WithDefaults()
	sound := l.touched(k, l.ReadBytes)
	ios := sound*(1-l.Degraded) + math.Max(sound, float64(k))*l.Degraded
	bytes := l.ReadBytes * (1 + l.Degraded*(math.Max(sound, float64(k))/sound-1))
	return IO{ios, math.Max(0, bytes-ios*Small)}
}

// touched is the number of data shards that hold a sound object.
func (l Load) touched(k int, size float64) float64 {
	switch {
	case k == 1:
		return 1
	case l.Layout == Striped:
		return float64(k)
	case size <= Small:
		return 1
	}
	return math.Min(float64(k), math.Ceil(size/shardBytes))
}

// Write is the cost of one write under a code of n shards, k of them data.
func (l Load) Write(k, n int) IO {
	l = l.WithDefaults()
	shared := 1.0
	if l.Layout == Packed {
		shared = l.Burst
	}
	ios := float64(n) / shared
	bytes := l.WriteBytes * float64(n) / float64(k)
	return IO{ios, math.Max(0, bytes-ios*Small)}
}
