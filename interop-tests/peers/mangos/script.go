package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.nanomsg.org/mangos/v3"
)

const (
	probePrefix = "spmsg-interop probe "
	maxVoices   = 8
)

// script holds the sockets that the commands opened; the last one opened is in use.
type script struct {
	puppets []*puppet
	now     *puppet
}

func (run *script) command(words []string) (string, error) {
	switch words[0] {
	case "hello":
		return "ok mangos " + version(), nil
	case "open":
		return run.open(words)
	case "use":
		p, err := run.at(words, 1)
		if err == nil {
			run.now = p
		}
		return "ok", err
	case "device":
		return run.device(words)
	}
	if run.now == nil {
		return "", errors.New("no socket is open")
	}
	switch words[0] {
	case "burst", "drain", "sift", "ask", "answer", "gather", "glean":
		return run.now.stream(words)
	}
	return run.now.single(words)
}

func (run *script) open(words []string) (string, error) {
	if len(words) < 2 {
		return "", errors.New("wanted TYPE")
	}
	p, err := open(words[1], len(words) > 2 && words[2] == "raw")
	if err != nil {
		return "", err
	}
	run.puppets = append(run.puppets, p)
	run.now = p
	return fmt.Sprintf("ok %d", len(run.puppets)-1), nil
}

func (run *script) at(words []string, which int) (*puppet, error) {
	if which < len(words) {
		index, err := strconv.Atoi(words[which])
		if err == nil && index >= 0 && index < len(run.puppets) {
			return run.puppets[index], nil
		}
	}
	return nil, errors.New("no such socket")
}

func (run *script) device(words []string) (string, error) {
	one, err := run.at(words, 1)
	if err != nil {
		return "", err
	}
	two := one
	if len(words) > 2 {
		if two, err = run.at(words, 2); err != nil {
			return "", err
		}
	}
	return "ok", mangos.Device(one.socket, two.socket)
}

// single runs the commands that concern one endpoint or one message.
func (p *puppet) single(words []string) (string, error) {
	one, two := "", "0"
	if len(words) > 1 {
		one = words[1]
	}
	if len(words) > 2 {
		two = words[2]
	}
	switch words[0] {
	case "opt":
		return "ok", p.setOption(one, two)
	case "tls":
		return "ok", p.secure(one)
	case "bind":
		return "ok", p.bind(one)
	case "connect":
		return "ok", p.connect(one)
	case "close":
		return "ok", p.socket.Close()
	case "recv", "quiet":
		timeout, err := millis(one)
		if err != nil {
			return "", err
		}
		if words[0] == "quiet" {
			return "ok", p.quiet(time.Now().Add(timeout))
		}
		body, err := p.receiveContent(time.Now().Add(timeout))
		return fmt.Sprintf("msg %d %s", len(body), showHex(body)), err
	}
	timeout, err := millis(two)
	if err != nil {
		return "", err
	}
	deadline := time.Now().Add(timeout)
	switch words[0] {
	case "wait-pipes", "wait-joined", "wait-rejoined":
		wanted, err := strconv.Atoi(one)
		if err != nil {
			return "", err
		}
		return "ok", p.wait(words[0], wanted, timeout)
	case "send":
		body, err := parseHex(one)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("ok %d", len(body)), p.transmit(body, deadline)
	case "probe":
		return "ok", p.transmit([]byte(probePrefix+one), deadline)
	case "seek":
		return "ok", p.seek([]byte(probePrefix+one), deadline)
	}
	return "", errors.New("no such command")
}

func (p *puppet) stream(words []string) (string, error) {
	s, err := parseStream(words)
	if err != nil {
		return "", err
	}
	last := 0
	if len(words) > 6 {
		if last, err = strconv.Atoi(words[6]); err != nil || last < 0 || last > maxVoices {
			return "", errors.New("bad number of voices")
		}
	}
	t := newTally()
	switch words[0] {
	case "burst":
		err = p.burst(s, &t)
	case "drain":
		err = p.drain(s, &t)
	case "sift":
		err = p.sift(s, &t)
	case "ask":
		if last < 1 {
			last = 1
		}
		err = p.ask(s, &t, last)
	case "answer", "gather":
		err = p.gather(s, &t, uint64(last))
	case "glean":
		return p.glean(s, uint64(last))
	}
	return t.String(), err
}

// left is what a call may wait; never 0, which would mean for ever.
func left(deadline time.Time) time.Duration {
	if wait := time.Until(deadline); wait > time.Millisecond {
		return wait
	}
	return time.Millisecond
}

func (p *puppet) receive(deadline time.Time) ([]byte, error) {
	err := p.socket.SetOption(mangos.OptionRecvDeadline, left(deadline))
	if err != nil {
		return nil, err
	}
	return p.receiveNow()
}

func (p *puppet) receiveNow() ([]byte, error) {
	if !p.raw {
		return p.socket.Recv()
	}
	m, err := p.socket.RecvMsg()
	if err != nil {
		return nil, err
	}
	defer m.Free()
	p.in = append([]byte{}, m.Header...)
	if !p.headerIsRight() {
		return nil, fmt.Errorf("%w %x", errHeader, p.in)
	}
	return append([]byte{}, m.Body...), nil
}

func (p *puppet) transmit(body []byte, deadline time.Time) error {
	err := p.socket.SetOption(mangos.OptionSendDeadline, left(deadline))
	if err != nil && !errors.Is(err, mangos.ErrBadOption) {
		return err // senders that never block know no deadline
	}
	if !p.raw {
		return p.socket.Send(body)
	}
	m := mangos.NewMessage(len(body))
	m.Header = append(m.Header, p.out...)
	m.Body = append(m.Body, body...)
	if err = p.socket.SendMsg(m); err != nil {
		m.Free()
	}
	return err
}

// receiveContent skips probes: those only prove that a path exists.
func (p *puppet) receiveContent(deadline time.Time) ([]byte, error) {
	for {
		body, err := p.receive(deadline)
		if err != nil || !bytes.HasPrefix(body, []byte(probePrefix)) {
			return body, err
		}
		if time.Now().After(deadline) {
			return nil, mangos.ErrRecvTimeout
		}
	}
}

func unexpected(body []byte) error {
	return fmt.Errorf("unexpected message of %d bytes %s", len(body), showHex(body))
}

func (p *puppet) quiet(deadline time.Time) error {
	body, err := p.receiveContent(deadline)
	if errors.Is(err, mangos.ErrRecvTimeout) {
		return nil
	}
	if err != nil {
		return err
	}
	return unexpected(body)
}

func (p *puppet) seek(wanted []byte, deadline time.Time) error {
	for {
		body, err := p.receive(deadline)
		if err != nil || bytes.Equal(body, wanted) {
			return err
		}
		if !bytes.HasPrefix(body, []byte(probePrefix)) {
			return unexpected(body)
		}
	}
}

func (s *stream) mismatch(index uint64, body []byte) error {
	want := s.content(s.seed, index)
	return fmt.Errorf("mismatch at %d: wanted %d bytes %s got %d bytes %s", index, len(want),
		showHex(want), len(body), showHex(body))
}

func (s *stream) matches(index uint64, body []byte) bool {
	return len(body) == s.sizes[index%uint64(len(s.sizes))] &&
		bytes.Equal(body, s.content(s.seed, index))
}

func (p *puppet) burst(s *stream, t *tally) error {
	for i := s.from; i < s.end(); i++ {
		body := s.content(s.seed, i)
		if err := p.transmit(body, s.deadline); err != nil {
			return err
		}
		t.add(body)
	}
	return nil
}

func (p *puppet) drain(s *stream, t *tally) error {
	for i := s.from; i < s.end(); i++ {
		body, err := p.receiveContent(s.deadline)
		if err != nil {
			fmt.Printf("# %d of %d came\n", t.count, s.count)
			return err
		}
		if !s.matches(i, body) {
			return s.mismatch(i, body)
		}
		t.add(body)
	}
	return nil
}

// sift is like drain, but messages may be missing and the last one that came may come again.
func (p *puppet) sift(s *stream, t *tally) error {
	for next := s.from; next < s.end(); {
		body, err := p.receiveContent(s.deadline)
		if err != nil {
			return err
		}
		at := next
		for at < s.end() && !s.matches(at, body) {
			at++
		}
		switch {
		case at < s.end():
			t.add(body)
			next = at + 1
		case next > 0 && s.matches(next-1, body):
			t.repeats++
		default:
			return s.mismatch(next, body)
		}
	}
	return nil
}

// collect gathers the answers to one question; false means that it is to be asked again.
func (p *puppet) collect(s *stream, index uint64, voices int) (bool, error) {
	until := s.deadline
	if p.raw {
		until = minTime(until, time.Now().Add(rawPatience))
	}
	heard := make([]bool, voices)
	for missing := voices; missing > 0; {
		body, err := p.receive(until)
		if err != nil {
			expired := errors.Is(err, mangos.ErrRecvTimeout) || errors.Is(err, mangos.ErrProtoState)
			if (p.kind == "surveyor" || p.raw) && expired && time.Now().Before(s.deadline) {
				return false, nil
			}
			return false, err
		}
		if !p.isCurrent() {
			continue
		}
		voice := 0
		for voice < voices && (heard[voice] || !bytes.Equal(body, s.content(s.seed+1+uint64(voice), index))) {
			voice++
		}
		if voice == voices {
			return false, s.mismatch(index, body)
		}
		heard[voice] = true
		missing--
	}
	return true, nil
}

func (p *puppet) ask(s *stream, t *tally, voices int) error {
	for i := s.from; i < s.end(); {
		body := s.content(s.seed, i)
		p.prepareQuestion()
		err := p.transmit(body, s.deadline)
		if err != nil {
			return err
		}
		all, err := p.collect(s, i, voices)
		if err != nil {
			return err
		}
		if all {
			t.add(body)
			i++
		} else {
			t.repeats++
		}
	}
	return nil
}

// answer replies to message number index of this seed, if this socket is one that answers.
func (p *puppet) answer(s *stream, seed, index uint64) error {
	if p.kind != "rep" && p.kind != "respondent" {
		return nil
	}
	p.out = p.in
	return p.transmit(s.content(seed, index), s.deadline)
}

// gather receives everything of several streams, each in order; the one before may come again.
func (p *puppet) gather(s *stream, t *tally, rank uint64) error {
	next := make([]uint64, len(s.seeds))
	for i := range next {
		next[i] = s.from
	}
	for t.count < s.count*uint64(len(s.seeds)) {
		body, err := p.receiveContent(s.deadline)
		if err != nil {
			fmt.Printf("# %d came\n", t.count)
			return err
		}
		which, index := s.identify(next, body)
		switch {
		case which < 0:
			return s.mismatch(next[0], body)
		case index == next[which]:
			t.add(body)
			next[which]++
		default:
			t.repeats++
		}
		if err = p.answer(s, s.seeds[which]+1+rank, index); err != nil {
			return err
		}
	}
	return nil
}

// identify finds the stream whose next message this is, or whose last one it is again.
func (s *stream) identify(next []uint64, body []byte) (int, uint64) {
	for i, seed := range s.seeds {
		if next[i] < s.end() && bytes.Equal(body, s.content(seed, next[i])) {
			return i, next[i]
		}
	}
	for i, seed := range s.seeds {
		if next[i] > 0 && bytes.Equal(body, s.content(seed, next[i]-1)) {
			return i, next[i] - 1
		}
	}
	return -1, 0
}

// glean receives whatever part of a stream comes to this socket within the time, and says which
// numbers they were.
func (p *puppet) glean(s *stream, rank uint64) (string, error) {
	var came []string
	for next := s.from; next < s.end(); next++ {
		body, err := p.receiveContent(s.deadline)
		if errors.Is(err, mangos.ErrRecvTimeout) {
			break
		}
		if err != nil {
			return "", err
		}
		for next < s.end() && !s.matches(next, body) {
			next++
		}
		if next == s.end() {
			return "", errors.New("glean: not in the stream, or out of order")
		}
		if err = p.answer(s, s.seed+1+rank, next); err != nil {
			return "", err
		}
		came = append(came, strconv.FormatUint(next, 10))
	}
	if came == nil {
		return "ok -", nil
	}
	return "ok " + strings.Join(came, ","), nil
}
