package energy

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// SSDEmbodied is the carbon of making an SSD from its flash: kilograms of CO2e for gigabytes
// at a density of the dies in GB/cm², a factor in kg/cm² and a base for all else in kg
// (Boavizta: 2.20 kg/cm² and 6.34 kg).
func SSDEmbodied(gb, gbPerCm2, kgPerCm2, base float64) float64 { return gb/gbPerCm2*kgPerCm2 + base }

// ErrShare is the error of a share of a life that cannot be.
var ErrShare = errors.New("bad share of a life")

// LifeShare is the part of the embodied carbon of a thing that falls on a part of its life, in
// proportion.
func LifeShare(total float64, used, life time.Duration) (float64, error) {
	if !(used >= 0 && life > 0 && used <= life) || total < 0 || math.IsNaN(total) {
		return 0, fmt.Errorf("%w: %v of %v", ErrShare, used, life)
	}
	return total * (used.Seconds() / life.Seconds()), nil
}

// TBHours are terabyte-hours of gigabyte-months of so many days, as clouds bill.
func TBHours(gbMonths, days float64) float64 { return gbMonths * days * 24 / 1000 }
