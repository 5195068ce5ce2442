// Command go-peer is a go-libp2p peer that a test drives.
//
// It reads one JSON request a line on standard input and writes replies and events, one a line,
// on standard output:
//
//	{"id": 1, "cmd": "ping", "timeout": 10, "args": {"peer": "12D3...", "count": 3}}
//	{"id": 1, "result": {"rtts": [0.0003, 0.0002, 0.0002]}}
//	{"id": 2, "error": {"text": "stream reset (remote): code: 0x7", "reset": true, "stream_code": 7, "remote": true}}
//	{"event": "connectedness", "peer": "12D3...", "state": "Connected"}
//
// Requests run side by side, so their replies may come in another order. The first one is "start";
// "exit" or the end of standard input ends the program. Times are in seconds, bytes in base64.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
)

const defaultTimeout = 30 * time.Second

// testPeer is the one host of this process and what its commands share.
type testPeer struct {
	host       host.Host
	out        lines
	streams    streamTable
	identified identifyBook
}

type request struct {
	ID      int             `json:"id"`
	Command string          `json:"cmd"`
	Timeout float64         `json:"timeout"`
	Args    json.RawMessage `json:"args"`
}

type reply struct {
	ID     int      `json:"id"`
	Result any      `json:"result,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

// command is one entry of the table below, with its arguments still undecoded.
type command func(ctx context.Context, p *testPeer, args json.RawMessage) (any, error)

var commands = map[string]command{
	"start":      typed((*testPeer).start),
	"id":         typed((*testPeer).id),
	"connect":    typed((*testPeer).connect),
	"disconnect": typed((*testPeer).disconnect),
	"conns":      typed((*testPeer).conns),
	"ping":       typed((*testPeer).ping),
	"identify":   typed((*testPeer).identify),
	"handle":     typed((*testPeer).handle),
	"unhandle":   typed((*testPeer).unhandle),

	"echo":      typed((*testPeer).echo),
	"echo_many": typed((*testPeer).echoMany),
	"sink":      typed((*testPeer).sink),
	"source":    typed((*testPeer).source),

	"stream_open":        typed((*testPeer).streamOpen),
	"stream_write":       typed((*testPeer).streamWrite),
	"stream_read":        typed((*testPeer).streamRead),
	"stream_digest":      typed((*testPeer).streamDigest),
	"stream_close_write": typed((*testPeer).streamCloseWrite),
	"stream_close_read":  typed((*testPeer).streamCloseRead),
	"stream_close":       typed((*testPeer).streamClose),
	"stream_reset":       typed((*testPeer).streamReset),

	"reserve": typed((*testPeer).reserve),
}

// typed decodes the arguments for run; a name that run does not know is an error, not a no-op.
func typed[A any](run func(*testPeer, context.Context, A) (any, error)) command {
	return func(ctx context.Context, p *testPeer, raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			decoder := json.NewDecoder(bytes.NewReader(raw))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&args); err != nil {
				return nil, err
			}
		}
		return run(p, ctx, args)
	}
}

func (p *testPeer) perform(r request) {
	timeout := defaultTimeout
	if r.Timeout > 0 {
		timeout = seconds(r.Timeout)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	result, err := p.call(ctx, r)
	answer := reply{ID: r.ID, Result: result}
	if err != nil {
		answer = reply{ID: r.ID, Error: describe(err)}
	}
	p.out.write(answer)
}

func (p *testPeer) call(ctx context.Context, r request) (any, error) {
	run, known := commands[r.Command]
	switch {
	case !known:
		return nil, fmt.Errorf("unknown command %q", r.Command)
	case (p.host == nil) != (r.Command == "start"):
		return nil, errors.New("the first command, and only that, is start")
	}
	return run(ctx, p, r.Args)
}

// serve performs requests until "exit" (whose id it returns) or the end of input.
func (p *testPeer) serve(input io.Reader) (exit *request, err error) {
	reader := bufio.NewReader(input) // a Scanner would bound the length of a line
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("request %q: %w", line, err)
		}
		switch r.Command {
		case "exit":
			return &r, nil
		case "start": // the others need its host
			p.perform(r)
		default:
			go p.perform(r)
		}
	}
}

func main() {
	p := &testPeer{}
	exit, err := p.serve(os.Stdin)
	if p.host != nil {
		err = errors.Join(err, p.host.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-peer:", err)
		os.Exit(1)
	}
	if exit != nil {
		p.out.write(reply{ID: exit.ID})
	}
}

// lines writes whole JSON lines on standard output, from any goroutine.
type lines struct{ mu sync.Mutex }

func (l *lines) write(message any) {
	line, err := json.Marshal(message)
	if err != nil {
		panic(err) // a result type that JSON cannot carry is our own mistake
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	os.Stdout.Write(append(line, '\n')) // a reader who left is noticed as the end of input
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
