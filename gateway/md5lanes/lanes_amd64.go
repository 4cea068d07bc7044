package md5lanes

import (
	"crypto/md5"

	"golang.org/x/sys/cpu"
)

// lanes is how many streams are hashed at a time.
var lanes = func() int {
	if cpu.X86.HasAVX512F {
		return width
	}
	return 1
}()

// blocks16 hashes n blocks, at least one, of each of 16 lanes.
//
//go:noescape
func blocks16(state *[4][width]uint32, data *[width]*byte, n int)

// vector hashes the first least bytes, whole blocks, of all streams that have data left.
func vector(batch []*Hash, data [][]byte, least int) {
	var state [4][width]uint32
	var at [width]*byte
	for lane := range width {
		at[lane] = &idle[0]
		if lane < len(batch) && len(data[lane]) > 0 {
			at[lane] = &data[lane][0]
			for w := range state {
				state[w][lane] = batch[lane].state[w]
			}
		}
	}
	blocks16(&state, &at, least/md5.BlockSize)
	for lane, h := range batch {
		if len(data[lane]) == 0 {
			continue
		}
		for w := range state {
			h.state[w] = state[w][lane]
		}
		data[lane] = data[lane][least:]
	}
}

// idle is what lanes without a stream hash.
var idle [chunkSize]byte
