package importer

import (
	"fmt"
	"slices"
	"strings"
)

// regulation asks operators of data centres for the indicators.
const regulation = "Delegated Regulation (EU) 2024/1364"

// An Indicator is what the regulation's annexes ask the operator of a data centre for, and which
// fields of the sheet give this storage's part of it.
type Indicator struct {
	Symbol string   `json:"symbol"` // as the annex has it, "" where it has none
	Name   string   `json:"name"`
	Unit   string   `json:"unit"`
	Annex  string   `json:"annex"`
	Fields []string `json:"answered_by"` // names of fields
	Why    string   `json:"why,omitempty"`
}

const (
	byBuilding = "of the building: the operator has it"
	byTraffic  = "of network traffic, which no dump of a store tells"
)

// indicators are those of Annex II (information on energy, on the capacity of the equipment and on
// traffic) and of Annex III (what is worked out of it).
var indicators = []Indicator{
	{"PDIT", "installed power demand of the IT", "kW", "Annex II", nil, "of rating plates, which no dump tells"},
	{"SDC", "floor area", "m²", "Annex II", nil, byBuilding},
	{"SCR", "floor area of computer rooms", "m²", "Annex II", nil, byBuilding},
	{"EDC", "total energy", "kWh", "Annex II", []string{"energy_total"}, ""},
	{"EIT", "energy of the IT", "kWh", "Annex II", []string{"energy_it"}, ""},
	{"", "functions for the grid, capacity of batteries", "", "Annex II", nil, byBuilding},
	{"WIN", "water input", "m³", "Annex II", []string{"water"}, "give --wue: water is then its product with EIT"},
	{"WIN-POT", "potable water input", "m³", "Annex II", nil, byBuilding},
	{"EREUSE", "waste heat reused", "kWh", "Annex II", []string{"heat_reused"}, "give --erf: heat reused is then its product with EDC"},
	{"", "temperatures of waste heat and intake air, refrigerants, cooling degree days", "", "Annex II", nil, byBuilding},
	{"ERES-TOT", "renewable energy", "kWh", "Annex II", []string{"renewable"}, "give --ref: renewable energy is then its product with EDC"},
	{"", "renewable energy by guarantees of origin, by contracts, from the site", "kWh", "Annex II", nil, "of contracts: the operator or the supplier has it"},
	{"CSERV", "capacity of servers", "", "Annex II", nil, "of a benchmark of each server model, which no dump tells"},
	{"CSTOR", "capacity of storage", "PB", "Annex II", []string{"cstor_raw", "cstor_usable"}, ""},
	{"BIN", "incoming bandwidth", "", "Annex II", nil, byTraffic},
	{"BOUT", "outgoing bandwidth", "", "Annex II", nil, byTraffic},
	{"", "incoming and outgoing traffic of the year", "", "Annex II", nil, byTraffic},
	{"PUE", "power usage effectiveness", "", "Annex III", []string{"pue"}, ""},
	{"WUE", "water usage effectiveness", "", "Annex III", []string{"wue"}, ""},
	{"ERF", "energy reuse factor", "", "Annex III", []string{"erf"}, ""},
	{"REF", "renewable energy factor", "", "Annex III", []string{"ref"}, ""},
}

// indicate says of each indicator which fields answer it, and of fields which they answer.
func (s *Sheet) indicate() {
	for _, x := range indicators {
		names := x.Fields
		x.Fields = []string{}
		for i, f := range s.Fields {
			if !slices.Contains(names, f.Name) {
				continue
			}
			s.Fields[i].Indicator = x.Symbol
			if f.Value != nil {
				x.Fields = append(x.Fields, f.Name)
			}
		}
		switch {
		case len(x.Fields) > 0:
			x.Why = ""
		case x.Why == "":
			x.Why = "see what is missing"
		}
		s.Indicators = append(s.Indicators, x)
	}
}

// NotAnswered lists the indicators without an answer, by why there is none.
func (s *Sheet) NotAnswered() (lines []string) {
	var whys []string
	by := map[string][]string{}
	for _, x := range s.Indicators {
		if x.Why == "" {
			continue
		}
		if by[x.Why] == nil {
			whys = append(whys, x.Why)
		}
		by[x.Why] = append(by[x.Why], strings.TrimSpace(x.Symbol+" "+x.Name))
	}
	for _, why := range whys {
		lines = append(lines, fmt.Sprintf("%s: %s", strings.Join(by[why], ", "), why))
	}
	return lines
}
