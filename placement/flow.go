package placement

// A flow is a network in which a maximum flow is sought, by Dinic's algorithm. Arc a^1 is
// the reverse of arc a.
type flow struct {
	first []int // by node: its last arc, or -1
	next  []int // by arc
	to    []int
	room  []int64
	level []int
	at    []int
}

func newFlow(nodes int) *flow {
	f := &flow{first: make([]int, nodes)}
	for i := range f.first {
		f.first[i] = -1
	}
	return f
}

// arc adds an arc and returns its number.
func (f *flow) arc(from, to int, room int64) int {
	a := len(f.to)
	f.to = append(f.to, to, from)
	f.room = append(f.room, room, 0)
	f.next = append(f.next, f.first[from], f.first[to])
	f.first[from], f.first[to] = a, a+1
	return a
}

// flow is what runs through an arc.
func (f *flow) flow(a int) int64 { return f.room[a^1] }

func (f *flow) run(source, sink int) int64 {
	total := int64(0)
	for f.layer(source, sink) {
		f.at = append(f.at[:0], f.first...)
		for {
			n := f.push(source, sink, 1<<62)
			if n == 0 {
				break
			}
			total += n
		}
	}
	return total
}

// layer numbers the nodes by their distance from the source.
func (f *flow) layer(source, sink int) bool {
	f.level = make([]int, len(f.first))
	f.level[source] = 1
	queue := []int{source}
	for i := 0; i < len(queue); i++ {
		for a := f.first[queue[i]]; a >= 0; a = f.next[a] {
			if to := f.to[a]; f.room[a] > 0 && f.level[to] == 0 {
				f.level[to] = f.level[queue[i]] + 1
				queue = append(queue, to)
			}
		}
	}
	return f.level[sink] > 0
}

func (f *flow) push(from, sink int, most int64) int64 {
	if from == sink {
		return most
	}
	for ; f.at[from] >= 0; f.at[from] = f.next[f.at[from]] {
		a := f.at[from]
		if f.room[a] == 0 || f.level[f.to[a]] != f.level[from]+1 {
			continue
		}
		if n := f.push(f.to[a], sink, min(most, f.room[a])); n > 0 {
			f.room[a] -= n
			f.room[a^1] += n
			return n
		}
	}
	return 0
}
