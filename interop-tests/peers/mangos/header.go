package main

import (
	"encoding/binary"
	"errors"
	"time"
)

// rawPatience is how long a raw question waits for its answers before it is asked again.
const rawPatience = 600 * time.Millisecond

var errHeader = errors.New("not the header of such a socket:")

// headerIsRight tells whether a raw socket of this kind shows such a header.
func (p *puppet) headerIsRight() bool {
	switch p.kind {
	case "rep", "respondent":
		return isStack(p.in)
	case "req", "surveyor":
		return len(p.in) >= 4
	case "bus", "pair1":
		return len(p.in) == 4
	}
	return len(p.in) == 0
}

// isStack knows the key of a pipe, hops, and last the id, the only word with its top bit set.
func isStack(header []byte) bool {
	if len(header) < 8 || len(header)%4 != 0 {
		return false
	}
	for at := 0; at < len(header); at += 4 {
		if isLast := at == len(header)-4; (header[at]&0x80 != 0) != isLast {
			return false
		}
	}
	return true
}

// isCurrent tells whether what a raw socket received answers its last question; a cooked one has
// seen to that itself.
func (p *puppet) isCurrent() bool {
	return !p.raw || (len(p.in) == 4 && binary.BigEndian.Uint32(p.in) == p.lastID)
}

// prepareQuestion gives a raw question an id of ours, its top bit set.
func (p *puppet) prepareQuestion() {
	if !p.raw || (p.kind != "req" && p.kind != "surveyor") {
		return
	}
	p.lastID = (p.lastID + 1) | 0x80000000
	p.out = binary.BigEndian.AppendUint32(nil, p.lastID)
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
