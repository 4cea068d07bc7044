package cluster

import (
	"container/heap"
	"slices"
)

// A slot is where pack put an item: column Col of stripe Stripe of the batch, from Off on.
type slot struct {
	Stripe, Col int
	Off         uint32
}

// pack deals items of the given sizes, each at most packLimit, into the columns of as few
// stripes of k columns of at most shard bytes as hold them, the longest item first into the
// shortest column, so that the columns of a stripe come out even and its parity short. While
// the columns hold little, an item joins a column that stays under 4 KiB with it, since
// shorter parity saves nothing.
//
// It returns a slot for each item and the column lengths of each stripe.
func pack(sizes []int, k int, shard uint32) ([]slot, [][]uint32) {
	order := make([]int, len(sizes))
	total, longest := 0, 0
	for i, n := range sizes {
		order[i] = i
		total += n
		longest = max(longest, n)
	}
	slices.SortStableFunc(order, func(a, b int) int { return sizes[b] - sizes[a] })
	stripes := max(1, (total+k*int(shard)-1)/(k*int(shard)))
	for {
		slots, cols, ok := deal(sizes, order, stripes, k, max(shard, uint32(longest)))
		if ok {
			return slots, cols
		}
		stripes++
	}
}

func deal(sizes, order []int, stripes, k int, shard uint32) ([]slot, [][]uint32, bool) {
	slots := make([]slot, len(sizes))
	cols := make([][]uint32, stripes)
	for i := range cols {
		cols[i] = make([]uint32, k)
	}
	h := columns{cols: cols}
	for s := range stripes {
		for c := range k {
			h.at = append(h.at, [2]int{s, c})
		}
	}
	small := [2]int{-1, -1} // a column that is still under 4 KiB
	for _, i := range order {
		n := uint32(sizes[i])
		at := h.at[0]
		if small[0] >= 0 && cols[small[0]][small[1]]+n <= 4096 {
			at = small
		} else if n <= 2048 {
			small = at
		}
		off := cols[at[0]][at[1]]
		if off+n > shard {
			return nil, nil, false
		}
		slots[i] = slot{at[0], at[1], off}
		cols[at[0]][at[1]] = off + n
		if at == h.at[0] {
			heap.Fix(&h, 0)
		} else {
			heap.Init(&h) // few: only items of up to 2 KiB take this way, while columns are short
		}
	}
	return slots, cols, true
}

// columns is a heap of columns, the shortest first, then in order of stripe and column.
type columns struct {
	cols [][]uint32
	at   [][2]int
}

func (h columns) Len() int { return len(h.at) }
func (h columns) Less(i, j int) bool {
	a, b := h.at[i], h.at[j]
	if x, y := h.cols[a[0]][a[1]], h.cols[b[0]][b[1]]; x != y {
		return x < y
	}
	if a[0] != b[0] {
		return a[0] < b[0]
	}
	return a[1] < b[1]
}
func (h columns) Swap(i, j int) { h.at[i], h.at[j] = h.at[j], h.at[i] }
func (h columns) Push(any)      {}
func (h columns) Pop() any      { return nil }
