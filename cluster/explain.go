package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/wattle-storage/wattle/placement"
)

// A StripeExplanation says why the shards of a stripe lie where they do.
type StripeExplanation struct {
	Stripe string             `json:"stripe"`
	Scheme string             `json:"scheme"`
	PG     int                `json:"pg"`
	PGs    int                `json:"pgs"`
	Epoch  uint64             `json:"epoch"`
	Shards []ShardExplanation `json:"shards"`
	Spread string             `json:"spread"` // the fullest domains against the limits
}

// A ShardExplanation is one shard of a StripeExplanation.
type ShardExplanation struct {
	Shard  int    `json:"shard"`
	Kind   string `json:"kind"` // data or parity
	Disk   string `json:"disk,omitempty"`
	Wanted string `json:"wanted,omitempty"` // the table's disk, when it is another
	Bytes  int64  `json:"bytes"`
	Why    string `json:"why"`
}

// Explain says for each stripe of an object why its shards lie where they do.
func (c *Cluster) Explain(ctx context.Context, bucket, key string) ([]StripeExplanation, error) {
	_, layout, err := c.catalog.lookup(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	tree, err := c.config.Map.Tree()
	if err != nil {
		return nil, err
	}
	shares, err := tree.Shares(c.table, c.config.Rule.Limits())
	if err != nil {
		return nil, err
	}
	var list []StripeExplanation
	for _, e := range layout {
		for n := uint64(0); n < max(1, uint64(e.Count)); n++ {
			s, err := c.catalog.stripeByID(ctx, e.Stripe+n)
			if err != nil {
				return nil, err
			}
			x := c.explain(s, shares)
			x.Spread = tree.Spread(s.row(), c.config.Rule.Limits())
			list = append(list, x)
		}
	}
	return list, nil
}

func (c *Cluster) explain(s *stripe, shares map[placement.DiskID]placement.Share) StripeExplanation {
	pg := c.table.PG(s.ID)
	row := c.table.Disks(pg)
	x := StripeExplanation{Stripe: fmt.Sprintf("%x", s.ID), Scheme: s.Scheme.String(), PG: pg, PGs: c.table.PGs(), Epoch: c.config.Map.Epoch}
	for i, p := range s.Places {
		e := ShardExplanation{Shard: i, Kind: "data", Bytes: int64(p.Length)}
		if i >= len(s.Columns) {
			e.Kind = "parity"
		}
		if p.Disk != none {
			e.Disk = c.name(p.Disk)
		}
		if row[i] != p.Disk && row[i] != none {
			e.Wanted = c.name(row[i])
		}
		e.Why = c.reason(s, i, row, shares)
		x.Shards = append(x.Shards, e)
	}
	return x
}

// reason says in words why shard i lies where it does.
func (c *Cluster) reason(s *stripe, i int, row []placement.DiskID, shares map[placement.DiskID]placement.Share) string {
	p := s.Places[i]
	switch {
	case p.Disk == none && !s.stored(i):
		return "an empty column is a known zero and is not stored"
	case p.Disk == none:
		return "it could not be placed when it was written: `wattle repair` makes it"
	case row[i] == p.Disk:
		share := shares[p.Disk]
		return fmt.Sprintf("the table has it there; the disk has %d shards of all groups, its target by capacity is %.1f", share.Shards, share.Target)
	case c.byID[p.Disk].Out:
		return "the disk is being drained; `wattle rebalance` moves it"
	case slices.Contains(row, p.Disk):
		return "the table has the disk for another shard of the group; either serves"
	}
	return "the table wants another disk, which did not take it or came later; `wattle rebalance` moves it"
}
