package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// stream is a numbered run of generated messages: number i has size sizes[i % len(sizes)].
type stream struct {
	seed, from, count uint64
	seeds             []uint64 // of which seed is the first
	sizes             []int
	deadline          time.Time
}

func parseStream(words []string) (*stream, error) {
	if len(words) < 6 {
		return nil, fmt.Errorf("wanted SEED FROM COUNT SIZES MS")
	}
	s := &stream{}
	for _, text := range strings.Split(words[1], ",") {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, err
		}
		s.seeds = append(s.seeds, seed)
	}
	s.seed = s.seeds[0]
	for i, field := range []*uint64{&s.from, &s.count} {
		v, err := strconv.ParseUint(words[2+i], 10, 64)
		if err != nil {
			return nil, err
		}
		*field = v
	}
	for _, text := range strings.Split(words[4], ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("bad size %q", text)
		}
		s.sizes = append(s.sizes, size)
	}
	timeout, err := millis(words[5])
	s.deadline = time.Now().Add(timeout)
	return s, err
}

func (s *stream) end() uint64 { return s.from + s.count }

// content makes message number index as the one with this seed would say it.
func (s *stream) content(seed, index uint64) []byte {
	size := s.sizes[index%uint64(len(s.sizes))]
	state := seed*0x9e3779b97f4a7c15 + index*0xbf58476d1ce4e5b9 + uint64(size)*0x94d049bb133111eb
	out := make([]byte, (size+7)/8*8)
	for at := 0; at < len(out); at += 8 {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(out[at:], z^(z>>31))
	}
	return out[:size]
}

// tally counts what went through, and digests it: FNV-1a over each length and body.
type tally struct {
	count, bytes, digest, repeats uint64
}

func newTally() tally { return tally{digest: 0xcbf29ce484222325} }

func (t *tally) add(body []byte) {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], uint64(len(body)))
	for _, part := range [][]byte{word[:], body} {
		for _, b := range part {
			t.digest = (t.digest ^ uint64(b)) * 0x100000001b3
		}
	}
	t.count++
	t.bytes += uint64(len(body))
}

func (t *tally) String() string {
	return fmt.Sprintf("ok %d %d %016x repeats=%d", t.count, t.bytes, t.digest, t.repeats)
}
