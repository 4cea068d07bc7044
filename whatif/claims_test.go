package whatif

import (
	"strings"
	"testing"
)

// TestClaims: the claims come out as arithmetic and the sources say, and every figure of a
// condition is reckoned.
func TestClaims(t *testing.T) {
	list, err := Claims()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]float64{
		"fragments over":  {"ratio_to_3_copies": 0.5, "ratio_to_2_copies": 0.75, "copies_for_half": 3},
		"helium drives":   {"ratio_per_drive": 5.0 / 7, "capacity_factor_for_claim": 5 / (7 * 0.56)},
		"free cooling":    {"pue_for_25_percent": 1 / (1 - 0.25/0.7), "pue_for_35_percent": 2, "most_saved_at_pue": 0.7 * (1 - 1/1.58)},
		"Paris":           {"months_by_mean": 8, "months_by_mean_daily_maximum": 6, "months_with_28_days_below": 5},
		"the cold aisle":  {"free_hours_16_5": 4604, "free_hours_18_3": 6215, "free_hours_27_5": 8221},
		"DCEM":            {"kpi_te": 1.58, "kpi_reuse": 0.1, "kpi_ren": 0.2},
		"only 35 %":       {"fill": 0.5},
		"heat reused":     {"heater_fr": 3 * 51.28, "heater_eu": 3 * 380},
		"the heat given":  {"heat_price_to_repay": 0.2 / 0.7},
		"the denser":      {"unreadable_3_sites_at_0.9": 3*0.9*0.01 + 0.001},
		"what efficiency": {"gone_at_growth_of_data": 1, "years_until_growth_eats_it": 3.8018},
		"small objects":   {"ios_packed": 1, "ios_striped": 10},
		"helium's saving": {"w_per_drive": 5.0 / 7},
		"PUE falls":       {},
	}
	for _, c := range list {
		if c.Verdict != Holds && c.Verdict != HoldsIf && c.Verdict != DoesNotHold || c.Condition == "" || c.Source != "article" && c.Source != "wattle" || len(c.Inputs) == 0 {
			t.Errorf("%+v", c)
		}
		for _, v := range c.Result {
			if !finite(v) {
				t.Errorf("%s: %v", c.Claim, c.Result)
			}
		}
		for prefix, figures := range want {
			if !strings.HasPrefix(c.Claim, prefix) {
				continue
			}
			delete(want, prefix)
			for name, v := range figures {
				if !near(c.Result[name], v, 1e-4) {
					t.Errorf("%s: %s = %v, want %v", c.Claim, name, c.Result[name], v)
				}
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no claims begin with %v", sortedKeys(want))
	}
}

// TestSyntheticParis: the synthetic year comes near the sums over the hourly one.
func TestSyntheticParis(t *testing.T) {
	for _, p := range parisFree {
		free, _, err := paris(p.supply, p.approach, 0)
		if err != nil || !near(float64(free.Free), p.hours, 0.05) {
			t.Errorf("%v/%v: %v h, want %v; %v", p.supply, p.approach, free.Free, p.hours, err)
		}
	}
}
