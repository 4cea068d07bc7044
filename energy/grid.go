package energy

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed data/grid.yaml
var gridYAML []byte

// A GridTable is published carbon intensities of electricity by country, in g/kWh.
type GridTable struct {
	ID        string             `yaml:"id" json:"id"`
	Title     string             `yaml:"title" json:"title"`
	Publisher string             `yaml:"publisher" json:"publisher"`
	Year      int                `yaml:"year" json:"year"`
	Method    string             `yaml:"method" json:"method"` // direct, life_cycle or unstated
	Note      string             `yaml:"note" json:"note,omitempty"`
	GPerKWh   map[string]float64 `yaml:"g_per_kwh" json:"g_per_kwh"`
}

// GridTables returns all tables, the default first.
var GridTables = sync.OnceValue(func() []GridTable {
	var f struct {
		Tables []GridTable `yaml:"tables"`
	}
	if err := yaml.Unmarshal(gridYAML, &f); err != nil {
		panic(fmt.Sprintf("embedded grid figures: %v", err)) // a test reads them
	}
	return f.Tables
})

// ErrGrid is the error of a country or table that is not known.
var ErrGrid = errors.New("unknown grid")

// Intensity is the carbon intensity of a country (default EU) in a table, or in the first
// that has the country. It has no band: source, year and method are a choice.
func Intensity(country, table string) (Estimate, error) {
	if country == "" {
		country = "EU"
	}
	country = strings.ToUpper(country)
	var ids, countries []string
	for _, t := range GridTables() {
		ids = append(ids, t.ID)
		for c := range t.GPerKWh {
			countries = append(countries, c)
		}
		if table != "" && table != t.ID {
			continue
		}
		if g, ok := t.GPerKWh[country]; ok {
			return Point(g, "g/kWh", Datasheet, t.ID), nil
		}
	}
	if table != "" && !slices.Contains(ids, table) {
		return Estimate{}, fmt.Errorf("%w: no table %q: want one of %s", ErrGrid, table, strings.Join(ids, ", "))
	}
	slices.Sort(countries)
	where := "any table"
	if table != "" {
		where = table
	}
	return Estimate{}, fmt.Errorf("%w: no %q in %s: want one of %s, or give the intensity itself", ErrGrid, country, where, strings.Join(slices.Compact(countries), ", "))
}
