package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	echoProtocol   protocol.ID = "/peerup-test/echo/1.0.0"   // sends back what comes, half-closes at its end
	sinkProtocol   protocol.ID = "/peerup-test/sink/1.0.0"   // reads to the end, answers u64 count and SHA-256
	sourceProtocol protocol.ID = "/peerup-test/source/1.0.0" // reads u64 n, sends n pattern bytes, half-closes
	resetProtocol  protocol.ID = "/peerup-test/reset/1.0.0"  // reads u32 code, resets the stream with it
	manualProtocol protocol.ID = "/peerup-test/manual/1.0.0" // tells the test, which drives the stream
	hangProtocol   protocol.ID = "/peerup-test/hang/1.0.0"   // neither reads nor writes
)

// Numbers on the wire are big endian.
var testProtocols = map[protocol.ID]string{
	echoProtocol:   "echo",
	sinkProtocol:   "sink",
	sourceProtocol: "source",
	resetProtocol:  "reset",
	manualProtocol: "manual",
	hangProtocol:   "hang",
}

// serve handles one inbound stream; bytes are those it moved before it failed.
type serve func(s network.Stream) (bytes int64, err error)

var serving = map[string]serve{
	"echo":   func(s network.Stream) (int64, error) { return io.Copy(s, s) },
	"sink":   serveSink,
	"source": serveSource,
	"reset":  serveReset,
}

// handler returns what serves streams of a kind, or nil when there is no such kind.
func (p *testPeer) handler(kind string) network.StreamHandler {
	switch kind {
	case "hang": // a stream stays open when its handler returns
		return func(network.Stream) {}
	case "manual":
		return p.announce
	}
	run, known := serving[kind]
	if !known {
		return nil
	}
	return func(s network.Stream) {
		if bytes, err := run(s); err != nil {
			s.Reset()
			peer := s.Conn().RemotePeer().String()
			p.out.write(handlerFailedEvent{"handler_failed", s.Protocol(), peer, bytes, describe(err)})
			return
		}
		s.Close()
	}
}

func serveSink(s network.Stream) (int64, error) {
	hash := sha256.New()
	n, err := io.Copy(hash, s)
	if err != nil {
		return n, err
	}
	_, err = s.Write(hash.Sum(binary.BigEndian.AppendUint64(nil, uint64(n))))
	return n, err
}

func serveSource(s network.Stream) (int64, error) {
	var n uint64
	if err := binary.Read(s, binary.BigEndian, &n); err != nil {
		return 0, err
	}
	return io.Copy(s, pattern(int64(n)))
}

func serveReset(s network.Stream) (int64, error) {
	var code network.StreamErrorCode
	if err := binary.Read(s, binary.BigEndian, &code); err != nil {
		return 0, err
	}
	return 4, s.ResetWithError(code)
}

func (p *testPeer) announce(s network.Stream) {
	conn := s.Conn()
	p.out.write(streamEvent{
		Event:    "stream",
		Stream:   p.streams.add(s),
		Protocol: s.Protocol(),
		Peer:     conn.RemotePeer().String(),
		Remote:   conn.RemoteMultiaddr().String(),
		Limited:  conn.Stat().Limited,
	})
}

type handleArgs struct {
	Protocol protocol.ID `json:"protocol"`
	Kind     string      `json:"kind"` // echo, sink, source, reset, manual or hang
}

// handle serves one more protocol, which go tells its peers by identify push.
func (p *testPeer) handle(_ context.Context, args handleArgs) (any, error) {
	handler := p.handler(args.Kind)
	if handler == nil {
		return nil, fmt.Errorf("unknown kind of handler %q", args.Kind)
	}
	p.host.SetStreamHandler(args.Protocol, handler)
	return nil, nil
}

type unhandleArgs struct {
	Protocol protocol.ID `json:"protocol"`
}

func (p *testPeer) unhandle(_ context.Context, args unhandleArgs) (any, error) {
	p.host.RemoveStreamHandler(args.Protocol)
	return nil, nil
}
