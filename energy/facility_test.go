package energy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Monthly means and mean daily maxima of Paris Orly, °C (IWEC typical year).
var (
	parisMeans  = [12]float64{3.9, 4.2, 7.0, 10.0, 14.3, 16.8, 19.4, 19.7, 15.7, 11.3, 6.4, 4.5}
	parisMaxima = [12]float64{6.3, 7.0, 10.4, 14.1, 19.0, 21.1, 24.2, 25.0, 20.0, 16.0, 8.8, 7.0}
)

func paris() []float64 {
	var swing [12]float64
	for i := range swing {
		swing[i] = parisMaxima[i] - parisMeans[i]
	}
	return SyntheticYear(parisMeans, swing, 3.2)
}

// TestSyntheticYear: hours from monthly means come near those counted in the hourly year.
func TestSyntheticYear(t *testing.T) {
	year := paris()
	if err := WholeYear(year); err != nil {
		t.Fatal(err)
	}
	for top, want := range map[float64]float64{15: 6215, 18: 7298, 22: 8221} {
		if got := float64(HoursUpTo(year, top)); math.Abs(got/want-1) > 0.05 {
			t.Errorf("%v h up to %v °C, want %v ± 5 %%", got, top, want)
		}
	}
}

func TestAir(t *testing.T) {
	c := Cooling{Supply: 18, Approach: 3, Compressor: 0.33, Fans: 0.08, Other: 0.17}
	for _, x := range []struct {
		hourly              []float64
		free, partial, full int
		load                float64
	}{
		{[]float64{0, 15}, 2, 0, 0, 0},
		{[]float64{24, 30}, 0, 0, 2, 1},
		{[]float64{15, 19.5, 24}, 1, 1, 1, 0.5},
	} {
		a, err := c.Over(x.hourly)
		if err != nil || a.Free != x.free || a.Partial != x.partial || a.Full != x.full || math.Abs(a.Load-x.load) > 1e-12 {
			t.Errorf("%v: %+v, %v", x.hourly, a, err)
		}
		if a.SavedOfFacility > MostSaved(a.PUEWithout, 1)+1e-12 {
			t.Errorf("%v: %v of the bill is more than all that is not IT", x.hourly, a.SavedOfFacility)
		}
	}
	for _, bad := range []Cooling{{Supply: 100}, {Supply: 18, Return: 17}, {Supply: 18, Compressor: -1}, {Supply: math.NaN()}} {
		if _, err := bad.Over([]float64{1}); !errors.Is(err, ErrFacility) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestWarmer: a warmer year never has a lower PUE.
func TestWarmer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Cooling{
			Supply: rapid.Float64Range(10, 35).Draw(t, "supply"), Approach: rapid.Float64Range(0, 10).Draw(t, "approach"),
			Compressor: rapid.Float64Range(0, 1).Draw(t, "compressor"), Fans: 0.1, Other: 0.1,
		}
		year := rapid.SliceOfN(rapid.Float64Range(-20, 45), 1, 100).Draw(t, "year")
		warm := make([]float64, len(year))
		for i := range year {
			warm[i] = year[i] + rapid.Float64Range(0, 5).Draw(t, "more")
		}
		a, err := c.Over(year)
		b, err2 := c.Over(warm)
		if err != nil || err2 != nil || b.PUE < a.PUE-1e-12 || a.Free+a.Partial+a.Full != a.Hours {
			t.Fatalf("%+v, %+v, %v, %v", a, b, err, err2)
		}
	})
}

func TestReadTemperatures(t *testing.T) {
	year := func(cell string) string { return strings.Repeat(cell+"\n", 8760) }
	epw := "LOCATION,Somewhere\n" + strings.Repeat("h\n", 7) + year("1999,1,1,1,60,flags,12.5,9.0")
	for name, text := range map[string]string{"epw": epw, "plain": year("12.5"), "header": "time,t\n" + year("x,12.5"), "semicolons": year("1;2;12.5")} {
		got, err := ReadTemperatures([]byte(text))
		if err != nil || len(got) != 8760 || got[0] != 12.5 {
			t.Errorf("%s: %d hours, %v", name, len(got), err)
		}
	}
	for text, want := range map[string]string{
		year("285.6"):               "kelvin",
		year("75"):                  "Fahrenheit",
		year("48"):                  "Fahrenheit",
		"12\n13\n":                  "8,760",
		"12\n\n,\n":                 "line 3",
		"12\nmissing\n":             "line 2",
		"LOCATION,x\n1\n1\n":        "8,760",
		year("99.9"):                "line 1",
		"12\n" + year("NaN"):        "line 2",
		strings.Repeat("9\n", 9000): "8,760",
	} {
		if _, err := ReadTemperatures([]byte(text)); !errors.Is(err, ErrFacility) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q in it", text, err, want)
		}
	}
}

func FuzzReadTemperatures(f *testing.F) {
	f.Add([]byte("time,t\n1,12.5\n"))
	f.Add([]byte("LOCATION,x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		year, err := ReadTemperatures(text)
		if err == nil && WholeYear(year) != nil {
			t.Errorf("%d hours were taken", len(year))
		}
	})
}

func TestDCEM(t *testing.T) {
	k, err := DCEM(Objective{Total: 158, IT: 100, Reused: 15.8, Renewable: 31.6})
	if err != nil || math.Abs(k.TaskEfficiency-1.58) > 1e-12 || math.Abs(k.Reuse-0.1) > 1e-12 || math.Abs(k.Renewable-0.2) > 1e-12 {
		t.Errorf("%+v, %v", k, err)
	}
	for _, bad := range []Objective{{}, {Total: 1, IT: 2}, {Total: 2, IT: 1, Reused: -1}, {Total: math.NaN(), IT: 1}} {
		if _, err := DCEM(bad); !errors.Is(err, ErrFacility) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func ExampleBreakEven() {
	fmt.Printf("%.0f s to %.0f s\n", BreakEven(7.40, 0.87, 360, 15), BreakEven(7.40, 0.87, 427.5, 15))
	// Output: 53 s to 63 s
}

func ExamplePUEAfter() {
	_, err := PUEAfter(1.2, 0.25)
	fmt.Println(err)
	// Output: impossible saving: 25.00 % of the bill at PUE 1.200 is more than all that is not IT (16.67 %); it takes a PUE of 1.333
}
