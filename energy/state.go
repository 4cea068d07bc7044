package energy

import "fmt"

// A State is what a drive is doing.
type State uint8

// The states of a drive. SpinUp is the passage from standby to idle.
const (
	Idle            State = iota // platters at full speed, heads loaded, no requests
	Active                       // random reads
	Standby                      // platters at rest
	Off                          // no power
	IdleA                        // electronics reduced
	IdleB                        // heads unloaded
	IdleC                        // heads unloaded, fewer turns
	RandomWrite                  // random writes
	Sequential                   // sequential reads
	SequentialWrite              // sequential writes
	SpinUp                       // gathering speed
	states          = iota
)

var stateNames = [states]string{"idle", "active", "standby", "off", "idle_a", "idle_b", "idle_c",
	"random_write", "sequential", "sequential_write", "spin_up"}

func (s State) String() string {
	if int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", s)
	}
	return stateNames[s]
}

// ParseState is the reverse of State.String.
func ParseState(text string) (State, error) {
	for s, name := range stateNames {
		if name == text {
			return State(s), nil
		}
	}
	return 0, fmt.Errorf("drive state %q: want one of %v", text, stateNames)
}
