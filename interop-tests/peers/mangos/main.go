// Command mangos-peer is a puppet on mangos: it obeys the script language of
// peers/LANGUAGE.md, one command per line on stdin, one answer per line on stdout.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.nanomsg.org/mangos/v3"
	"go.nanomsg.org/mangos/v3/protocol/bus"
	"go.nanomsg.org/mangos/v3/protocol/pair"
	"go.nanomsg.org/mangos/v3/protocol/pair1"
	"go.nanomsg.org/mangos/v3/protocol/pub"
	"go.nanomsg.org/mangos/v3/protocol/pull"
	"go.nanomsg.org/mangos/v3/protocol/push"
	"go.nanomsg.org/mangos/v3/protocol/rep"
	"go.nanomsg.org/mangos/v3/protocol/req"
	"go.nanomsg.org/mangos/v3/protocol/respondent"
	"go.nanomsg.org/mangos/v3/protocol/sub"
	"go.nanomsg.org/mangos/v3/protocol/surveyor"
	"go.nanomsg.org/mangos/v3/protocol/xbus"
	"go.nanomsg.org/mangos/v3/protocol/xpair"
	"go.nanomsg.org/mangos/v3/protocol/xpair1"
	"go.nanomsg.org/mangos/v3/protocol/xpub"
	"go.nanomsg.org/mangos/v3/protocol/xpull"
	"go.nanomsg.org/mangos/v3/protocol/xpush"
	"go.nanomsg.org/mangos/v3/protocol/xrep"
	"go.nanomsg.org/mangos/v3/protocol/xreq"
	"go.nanomsg.org/mangos/v3/protocol/xrespondent"
	"go.nanomsg.org/mangos/v3/protocol/xsub"
	"go.nanomsg.org/mangos/v3/protocol/xsurveyor"
	_ "go.nanomsg.org/mangos/v3/transport/ipc"
	_ "go.nanomsg.org/mangos/v3/transport/tcp"
	_ "go.nanomsg.org/mangos/v3/transport/tlstcp"
	_ "go.nanomsg.org/mangos/v3/transport/ws"
	_ "go.nanomsg.org/mangos/v3/transport/wss"
)

type maker func() (mangos.Socket, error)

var cooked = map[string]maker{
	"pair": pair.NewSocket, "bus": bus.NewSocket, "req": req.NewSocket, "rep": rep.NewSocket,
	"pub": pub.NewSocket, "sub": sub.NewSocket, "push": push.NewSocket, "pull": pull.NewSocket,
	"surveyor": surveyor.NewSocket, "respondent": respondent.NewSocket, "pair1": pair1.NewSocket,
}

var raw = map[string]maker{
	"pair": xpair.NewSocket, "bus": xbus.NewSocket, "req": xreq.NewSocket, "rep": xrep.NewSocket,
	"pub": xpub.NewSocket, "sub": xsub.NewSocket, "push": xpush.NewSocket, "pull": xpull.NewSocket,
	"surveyor": xsurveyor.NewSocket, "respondent": xrespondent.NewSocket, "pair1": xpair1.NewSocket,
}

// puppet is one socket with a count of its pipes.
type puppet struct {
	socket mangos.Socket
	kind   string
	raw    bool

	in, out []byte // headers of a raw socket: received last, to be sent next
	lastID  uint32 // of a raw question

	tls *tls.Config // of endpoints to come

	lock    sync.Mutex
	changed *sync.Cond
	pipes   int
	joined  int
}

func open(kind string, isRaw bool) (*puppet, error) {
	makers := cooked
	if isRaw {
		makers = raw
	}
	make, known := makers[kind]
	if !known {
		return nil, errors.New("no such type")
	}
	socket, err := make()
	if err != nil {
		return nil, err
	}
	p := &puppet{socket: socket, kind: kind, raw: isRaw}
	if kind == "pair1" {
		p.out = []byte{0, 0, 0, 0} // no hop was made yet
	}
	p.changed = sync.NewCond(&p.lock)
	socket.SetPipeEventHook(p.onPipe)
	return p, nil
}

func (p *puppet) onPipe(event mangos.PipeEvent, _ mangos.Pipe) {
	p.lock.Lock()
	defer p.lock.Unlock()
	switch event {
	case mangos.PipeEventAttached:
		p.pipes++
		p.joined++
	case mangos.PipeEventDetached:
		p.pipes--
	}
	p.changed.Broadcast()
}

// wait blocks until enough pipes are there, now or in all.
func (p *puppet) wait(what string, wanted int, timeout time.Duration) error {
	enough := func() bool {
		switch what {
		case "wait-pipes":
			return p.pipes >= wanted
		case "wait-rejoined":
			return p.joined >= wanted && p.pipes == 1
		}
		return p.joined >= wanted
	}
	expired := false
	timer := time.AfterFunc(timeout, func() {
		p.lock.Lock()
		defer p.lock.Unlock()
		expired = true
		p.changed.Broadcast()
	})
	defer timer.Stop()
	p.lock.Lock()
	defer p.lock.Unlock()
	for !expired {
		if enough() {
			return nil
		}
		p.changed.Wait()
	}
	return fmt.Errorf("ETIMEDOUT %d now, %d in all", p.pipes, p.joined)
}

func (p *puppet) connect(addr string) error {
	options := map[string]interface{}{mangos.OptionDialAsynch: true}
	if p.tls != nil {
		options[mangos.OptionTLSConfig] = p.tls
	}
	return p.socket.DialOptions(addr, options)
}

func (p *puppet) bind(addr string) error {
	if p.tls == nil {
		return p.socket.Listen(addr)
	}
	return p.socket.ListenOptions(addr, map[string]interface{}{mangos.OptionTLSConfig: p.tls})
}

// secure makes both sides show the folder's certificate and trust its authority only.
func (p *puppet) secure(folder string) error {
	pem, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("ca.pem has no certificate")
	}
	p.tls = &tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      roots,
		ClientCAs:    roots,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ServerName:   "localhost",
	}
	return nil
}

func (p *puppet) setTopic(name, text string) error {
	if p.raw {
		return nil // a raw SUB of mangos delivers everything and knows no topics
	}
	topic, err := parseHex(text)
	if err != nil {
		return err
	}
	return p.socket.SetOption(name, topic)
}

func (p *puppet) setOption(name, text string) error {
	switch name {
	case "subscribe":
		return p.setTopic(mangos.OptionSubscribe, text)
	case "unsubscribe":
		return p.setTopic(mangos.OptionUnsubscribe, text)
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	interval := time.Duration(value) * time.Millisecond
	switch name {
	case "rcvmaxsize":
		if value < 0 {
			value = 0 // no limit
		}
		return p.socket.SetOption(mangos.OptionMaxRecvSize, value)
	case "reconnect":
		return p.socket.SetOption(mangos.OptionReconnectTime, interval)
	case "reconnect-max":
		return p.socket.SetOption(mangos.OptionMaxReconnectTime, interval)
	case "maxttl":
		return p.socket.SetOption(mangos.OptionTTL, value)
	case "resend":
		return p.socket.SetOption(mangos.OptionRetryTime, interval)
	case "deadline":
		return p.socket.SetOption(mangos.OptionSurveyTime, interval)
	case "sndbuf", "rcvbuf":
		return nil // bytes mean nothing to mangos, which counts messages
	}
	return errors.New("no such option")
}

// name gives mangos' errors the names that nanomsg has for them.
func name(err error) string {
	switch {
	case errors.Is(err, mangos.ErrRecvTimeout), errors.Is(err, mangos.ErrSendTimeout):
		return "ETIMEDOUT " + err.Error()
	case errors.Is(err, mangos.ErrProtoState):
		return "EFSM " + err.Error()
	case errors.Is(err, mangos.ErrProtoOp):
		return "ENOTSUP " + err.Error()
	case errors.Is(err, errHeader):
		return "EPROTO " + err.Error()
	case errors.Is(err, mangos.ErrClosed):
		return "EBADF " + err.Error()
	case strings.Contains(err.Error(), "address already in use"), errors.Is(err, mangos.ErrAddrInUse):
		return "EADDRINUSE " + err.Error()
	}
	return err.Error()
}

func parseHex(text string) ([]byte, error) {
	if text == "-" {
		return []byte{}, nil
	}
	return hex.DecodeString(text)
}

func showHex(body []byte) string {
	switch {
	case len(body) == 0:
		return "-"
	case len(body) > 64:
		return hex.EncodeToString(body[:64]) + "..."
	}
	return hex.EncodeToString(body)
}

func millis(text string) (time.Duration, error) {
	value, err := strconv.Atoi(text)
	return time.Duration(value) * time.Millisecond, err
}

func version() string {
	if info, found := debug.ReadBuildInfo(); found {
		for _, module := range info.Deps {
			if module.Path == "go.nanomsg.org/mangos/v3" {
				return module.Version
			}
		}
	}
	return "of unknown version"
}

func main() {
	run := script{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 1<<16), 1<<22)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "exit" {
			return
		}
		answer, err := run.command(words)
		if err != nil {
			answer = "err " + name(err)
		}
		fmt.Println(answer)
	}
}
