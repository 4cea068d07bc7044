package whatif

import (
	"encoding/json"
	"testing"
)

// TestEdges: scenarios at the edge give an answer without NaN, or an error.
func TestEdges(t *testing.T) {
	zero, one := 0.0, 1.0
	for name, s := range map[string]Scenario{
		"hardly anything": {StoredTB: 1e-9},
		"very much":       {StoredTB: 1e9, Sweep: Sweep{Sites: []int{1000}}},
		"all free":        {StoredTB: 10, Server: Server{SlotW: Exactly(0), Watts: Exactly(0), NICW: Exactly(0)}, Facility: Facility{PUE: Exactly(1)}, Carbon: Carbon{GPerKWh: Exactly(0)}},
		"wide code":       {StoredTB: 10, Sweep: Sweep{Schemes: []string{"rs:200+55"}, Sites: []int{7}}},
		"one copy":        {StoredTB: 10, Sweep: Sweep{Schemes: []string{"replica:1"}}},
		"all asleep":      {StoredTB: 10, Workload: Workload{Standby: 1}},
		"asleep and busy": {StoredTB: 10, Workload: Workload{Standby: 1, Reads: 1000}},
		"aside alone":     {Pools: []Pool{{Scheme: "replica:3", StoredTB: 1}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb", Count: 3, Aside: true}}},
		"too small":       {Pools: []Pool{{Scheme: "replica:3", StoredTB: 1000}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb", Count: 1}}},
		"too slow":        {Pools: []Pool{{Scheme: "replica:3", StoredTB: 1}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb", Count: 3}}, Workload: Workload{Reads: 1e6}},
		"empty pool":      {Pools: []Pool{{Scheme: "replica:3"}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb", Count: 3}}},
		"narrow rack":     {StoredTB: 1000, Rack: Rack{MaxKW: 0.1}},
		"no growth":       {StoredTB: 10, Growth: Growth{PerYear: -0.9, Years: 100, Rebound: &one}},
		"no reserve":      {StoredTB: 10, Reserve: &zero, Fill: 1},
		"paid to use":     {StoredTB: 10, Prices: Prices{EURPerKWh: &Range{-1, -0.5, 0.5}}},
		"two classes":     {Pools: []Pool{{Scheme: "rs:4+2", StoredTB: 5, DeviceClass: "hdd"}, {Scheme: "replica:3", StoredTB: 1, DeviceClass: "ssd"}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb"}, {Disk: "micron-6500ion-31tb"}}},
		"no such class":   {Pools: []Pool{{Scheme: "rs:4+2", StoredTB: 5, DeviceClass: "tape"}}, Fleet: []Fleet{{Disk: "hgst-he12-12tb"}}},
	} {
		r, err := Run(s)
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, o := range r.Options {
			if o.Watts.Validate() != nil || !(o.Watts.Typical > 0) {
				t.Errorf("%s: %+v", name, o.Watts)
			}
		}
	}
}
