// The cases of cases.h on mangos; arguments and conversation are described there.
//
// Queues of 1024 messages where the pattern has them (64 from 64 KiB up), no limit of the size, TCP_NODELAY.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.nanomsg.org/mangos/v3"
	"go.nanomsg.org/mangos/v3/protocol/pair"
	"go.nanomsg.org/mangos/v3/protocol/pub"
	"go.nanomsg.org/mangos/v3/protocol/pull"
	"go.nanomsg.org/mangos/v3/protocol/push"
	"go.nanomsg.org/mangos/v3/protocol/rep"
	"go.nanomsg.org/mangos/v3/protocol/req"
	"go.nanomsg.org/mangos/v3/protocol/sub"
	_ "go.nanomsg.org/mangos/v3/transport/inproc"
	_ "go.nanomsg.org/mangos/v3/transport/ipc"
	_ "go.nanomsg.org/mangos/v3/transport/tcp"
	_ "go.nanomsg.org/mangos/v3/transport/ws"
)

type maker = func() (mangos.Socket, error)

var (
	text   = map[string]string{"pattern": "push"}
	number = map[string]int{"size": 64, "count": 1000, "warm": 1, "peers": 1, "batch": 1, "rate": 1}
	told   = make(chan string)
	epoch  = time.Now()
	began  syscall.Rusage
	bound  = make(chan struct{}) // closed once this process is bound
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, text["case"], text["side"], text["address"]+":", err)
		os.Exit(1)
	}
}

func main() {
	for _, argument := range os.Args[1:] {
		key, value, _ := strings.Cut(argument, "=")
		if n, err := strconv.Atoi(value); err == nil {
			number[key] = n
		} else {
			text[key] = value
		}
	}
	go func() {
		for input := bufio.NewScanner(os.Stdin); input.Scan(); {
			told <- input.Text()
		}
		os.Exit(1)
	}()
	if text["side"] == "both" {
		var far sync.WaitGroup
		far.Add(1)
		go func() { run(true); far.Done() }()
		<-bound
		run(false)
		far.Wait()
	} else {
		run(text["side"] == "far")
	}
	if !(text["case"] == "pub" && text["side"] == "far") {
		fmt.Println("done")
		<-told
	}
	now := rusage()
	fmt.Printf("usage cpu=%.6f switches=%d\n", cpu(now)-cpu(began),
		now.Nvcsw+now.Nivcsw-began.Nvcsw-began.Nivcsw)
}

func run(far bool) {
	cases := map[string][2]func(){
		"thr": {thrNear, thrFar}, "rtt": {rttNear, rttFar}, "paced": {pacedNear, pacedFar},
		"fanin": {faninNear, faninFar}, "pub": {pubNear, pubFar}, "clients": {clientsNear, rttFar},
	}
	sides, known := cases[text["case"]]
	if !known {
		check(fmt.Errorf("unknown case"))
	}
	if far {
		sides[1]()
	} else {
		sides[0]()
	}
}

func rusage() (usage syscall.Rusage) {
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return
}

func cpu(usage syscall.Rusage) float64 {
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func mark() { began = rusage() }

// nowNs is CLOCK_MONOTONIC, which both processes share.
func nowNs() int64 {
	return time.Since(epoch).Nanoseconds() + epochNs
}

func open(makeSocket maker, far bool) mangos.Socket {
	socket, err := makeSocket()
	check(err)
	length := 1024
	if number["size"] >= 1<<16 {
		length = 64
	}
	// Patterns without such an option say so.
	for option, value := range map[string]any{mangos.OptionWriteQLen: length, mangos.OptionReadQLen: length,
		mangos.OptionMaxRecvSize: 0, mangos.OptionNoDelay: true} {
		if err := socket.SetOption(option, value); err != mangos.ErrBadOption {
			check(err)
		}
	}
	if info := socket.Info(); info.SelfName == "sub" {
		check(socket.SetOption(mangos.OptionSubscribe, []byte{}))
	}
	if far {
		check(socket.Listen(text["address"]))
		fmt.Println("ready")
		close(bound)
	} else {
		check(socket.DialOptions(text["address"], map[string]any{mangos.OptionDialAsynch: true}))
	}
	return socket
}

func oneOr(other maker) maker {
	if text["pattern"] == "pair" {
		return pair.NewSocket
	}
	return other
}

func send(socket mangos.Socket, body []byte) { check(socket.Send(body)) }

func recv(socket mangos.Socket) []byte {
	body, err := socket.Recv()
	check(err)
	if len(body) != number["size"] {
		check(fmt.Errorf("a body of %d bytes", len(body)))
	}
	return body
}

func sayRate(messages int, ns int64) {
	fmt.Printf("result rate=%.1f\n", float64(messages)/(float64(ns)/1e9))
}

func sayDelays(delays []int64) {
	slices.Sort(delays)
	at := func(part float64) float64 {
		return float64(delays[min(int(part*float64(len(delays))), len(delays)-1)]) / 1e3
	}
	fmt.Printf("result p50=%.3f p99=%.3f p999=%.3f\n", at(0.5), at(0.99), at(0.999))
}

func thrFar() {
	socket := open(oneOr(pull.NewSocket), true)
	for range number["warm"] {
		recv(socket)
	}
	mark()
	start := nowNs()
	for range number["count"] {
		recv(socket)
	}
	sayRate(number["count"], nowNs()-start)
}

func thrNear() {
	socket := open(oneOr(push.NewSocket), false)
	body := make([]byte, number["size"])
	for range number["warm"] {
		send(socket, body)
	}
	mark()
	for range number["count"] {
		send(socket, body)
	}
}

func rttFar() {
	socket := open(oneOr(rep.NewSocket), true)
	for i := 0; number["count"] == 0 || i < number["warm"]+number["count"]; i++ {
		if i == number["warm"] {
			mark()
		}
		var body []byte
		for range number["batch"] {
			body = recv(socket)
		}
		send(socket, body)
	}
}

func rttNear() {
	socket := open(oneOr(req.NewSocket), false)
	body := make([]byte, number["size"])
	delays := make([]int64, 0, number["count"])
	for i := range number["warm"] + number["count"] {
		if i == number["warm"] {
			mark()
		}
		if number["pause_us"] > 0 {
			time.Sleep(time.Duration(number["pause_us"]) * time.Microsecond)
		}
		start := nowNs()
		for range number["batch"] {
			send(socket, body)
		}
		recv(socket)
		if i >= number["warm"] {
			delays = append(delays, nowNs()-start)
		}
	}
	sayDelays(delays)
}

func pacedFar() {
	socket := open(pull.NewSocket, true)
	delays := make([]int64, 0, number["count"])
	for i := range number["warm"] + number["count"] {
		if i == number["warm"] {
			mark()
		}
		body := recv(socket)
		if i >= number["warm"] {
			delays = append(delays, nowNs()-int64(binary.NativeEndian.Uint64(body)))
		}
	}
	sayDelays(delays)
}

func pacedNear() {
	socket := open(push.NewSocket, false)
	body := make([]byte, number["size"])
	due := int64(0)
	for i := range number["warm"] + number["count"] {
		if i == number["warm"] {
			mark()
		}
		if due += int64(1000000000 / number["rate"]); i <= number["warm"]/2 {
			due = nowNs()
		}
		if left := due - nowNs(); left > 200000 {
			time.Sleep(time.Duration(left - 100000))
		}
		for nowNs() < due {
			yield()
		}
		binary.NativeEndian.PutUint64(body, uint64(nowNs()))
		send(socket, body)
	}
}

// runPeers runs each peer on a goroutine, and release when all have called their function; it returns after
// that.
func runPeers(peer func(synced func()), release func()) {
	var waiting, running sync.WaitGroup
	all := make(chan struct{})
	for range number["peers"] {
		waiting.Add(1)
		running.Add(1)
		go func() {
			peer(func() { waiting.Done(); <-all })
			running.Done()
		}()
	}
	waiting.Wait()
	mark()
	release()
	close(all)
	running.Wait()
}

func faninFar() {
	socket := open(pull.NewSocket, true)
	measured := number["count"] / number["peers"] * number["peers"]
	for range number["peers"] {
		recv(socket)
	}
	mark()
	fmt.Println("sync")
	recv(socket)
	start := nowNs()
	for range measured - 1 {
		recv(socket)
	}
	sayRate(measured-1, nowNs()-start)
}

func faninNear() {
	runPeers(func(synced func()) {
		socket := open(push.NewSocket, false)
		body := make([]byte, number["size"])
		send(socket, body)
		synced()
		for range number["count"] / number["peers"] {
			send(socket, body)
		}
	}, func() { <-told })
}

func pubFar() {
	socket := open(pub.NewSocket, true)
	body := make([]byte, number["size"])
	untilTold := func(mark byte) {
		for body[0] = mark; ; send(socket, body) {
			select {
			case <-told:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
	untilTold('h')
	mark()
	body[0] = 'd'
	for range number["count"] {
		send(socket, body)
	}
	fmt.Println("done")
	untilTold('e')
}

func pubNear() {
	var lock sync.Mutex
	total, first, last := 0, int64(1<<62), int64(0)
	runPeers(func(synced func()) {
		socket := open(sub.NewSocket, false)
		recv(socket)
		synced()
		received, mine, until := 0, int64(1<<62), int64(0)
		for kind := byte('h'); kind != 'e'; {
			if kind = recv(socket)[0]; kind != 'd' {
				continue
			}
			if received++; received == 1 {
				mine = nowNs()
			}
			if received%64 == 0 || received >= number["count"] {
				until = nowNs()
			}
		}
		lock.Lock()
		total, first, last = total+received, min(first, mine), max(last, until)
		lock.Unlock()
	}, func() { fmt.Println("sync") })
	rate := 0.0
	if last > first {
		rate = float64(total) / (float64(last-first) / 1e9)
	}
	fmt.Printf("result rate=%.1f loss=%.4f\n", rate, 1-float64(total)/float64(number["count"]*number["peers"]))
}

func clientsNear() {
	clients := make([]mangos.Socket, number["peers"])
	for i := range clients {
		clients[i] = open(req.NewSocket, false)
	}
	body := make([]byte, number["size"])
	waves := number["count"] / number["peers"]
	var start int64
	for wave := range waves + 1 {
		if wave == 1 {
			mark()
			start = nowNs()
		}
		for _, client := range clients {
			send(client, body)
		}
		for _, client := range clients {
			recv(client)
		}
	}
	sayRate(waves*number["peers"], nowNs()-start)
}
