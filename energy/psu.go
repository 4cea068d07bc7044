package energy

import "fmt"

// PSUCurves are the least efficiencies of the 80 PLUS classes of redundant supplies at 230 V,
// at 10, 20, 50 and 100 % load; 0 where the class sets none.
var PSUCurves = map[string][4]float64{
	"bronze":   {0, 0.81, 0.85, 0.81},
	"silver":   {0, 0.85, 0.89, 0.85},
	"gold":     {0, 0.88, 0.92, 0.88},
	"platinum": {0, 0.90, 0.94, 0.91},
	"titanium": {0.90, 0.94, 0.96, 0.91},
}

var psuLoads = [4]float64{0.1, 0.2, 0.5, 1}

// PSUEfficiency is the efficiency that a class promises at a load of 0.1 to 1, along straight
// lines between the loads that it names.
func PSUEfficiency(class string, load float64) (float64, error) {
	curve, ok := PSUCurves[class]
	if !ok {
		return 0, fmt.Errorf("%w: no 80 PLUS class %q", ErrFacility, class)
	}
	for i := 1; i < len(curve); i++ {
		if low, high := psuLoads[i-1], psuLoads[i]; load >= low && load <= high {
			if curve[i-1] == 0 {
				if load < high {
					break
				}
				return curve[i], nil
			}
			return curve[i-1] + (curve[i]-curve[i-1])*(load-low)/(high-low), nil
		}
	}
	return 0, fmt.Errorf("%w: 80 PLUS %s promises nothing at a load of %v", ErrFacility, class, load)
}
