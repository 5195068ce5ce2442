package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// streamTable names the streams that the test drives itself. Closed ones stay, so that a test
// can see what a further read says.
type streamTable struct {
	mu      sync.Mutex
	streams []network.Stream
}

func (t *streamTable) add(s network.Stream) (number int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams = append(t.streams, s)
	return len(t.streams)
}

func (t *streamTable) get(number int) (network.Stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number < 1 || number > len(t.streams) {
		return nil, fmt.Errorf("no stream %d", number)
	}
	return t.streams[number-1], nil
}

type streamOpenArgs struct {
	Peer         peer.ID       `json:"peer"`
	Protocols    []protocol.ID `json:"protocols"` // in the order they are proposed
	AllowLimited bool          `json:"allow_limited"`
}

type streamOpenResult struct {
	Stream   int         `json:"stream"`
	Protocol protocol.ID `json:"protocol"`
}

// streamOpen returns before anything was sent when identify named the protocol: the proposal
// then travels with the first bytes, and a refusal shows at the first read.
func (p *testPeer) streamOpen(ctx context.Context, args streamOpenArgs) (any, error) {
	s, err := p.openStream(ctx, args.Peer, args.AllowLimited, args.Protocols...)
	if err != nil {
		return nil, err
	}
	return streamOpenResult{p.streams.add(s), s.Protocol()}, nil
}

type streamWriteArgs struct {
	Stream int    `json:"stream"`
	Data   []byte `json:"data"`
}

func (p *testPeer) streamWrite(ctx context.Context, args streamWriteArgs) (any, error) {
	s, err := p.streams.get(args.Stream)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.SetWriteDeadline(deadline)
	}
	_, err = s.Write(args.Data)
	return nil, err
}

type streamReadArgs struct {
	Stream int  `json:"stream"`
	Size   int  `json:"size"`
	Exact  bool `json:"exact"` // wait for all of it, or the end; else for any of it
}

type streamReadResult struct {
	Data []byte `json:"data"`
	End  bool   `json:"end"`
}

func (p *testPeer) streamRead(ctx context.Context, args streamReadArgs) (any, error) {
	s, err := p.streamToRead(ctx, args.Stream)
	if err != nil {
		return nil, err
	}
	least := 1
	if args.Exact {
		least = args.Size
	}
	data := make([]byte, args.Size)
	n, err := io.ReadAtLeast(s, data, least)
	// Not errors.Is: the error of a connection that broke off has an io.EOF inside.
	end := err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !end {
		return nil, err
	}
	return streamReadResult{data[:n], end}, nil
}

type streamArgs struct {
	Stream int `json:"stream"`
}

// streamDigest reads to the end and returns what it was in brief.
func (p *testPeer) streamDigest(ctx context.Context, args streamArgs) (any, error) {
	s, err := p.streamToRead(ctx, args.Stream)
	if err != nil {
		return nil, err
	}
	return digest(s)
}

func (p *testPeer) streamToRead(ctx context.Context, number int) (network.Stream, error) {
	s, err := p.streams.get(number)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.SetReadDeadline(deadline)
	}
	return s, nil
}

func (p *testPeer) streamCloseWrite(_ context.Context, args streamArgs) (any, error) {
	return p.withStream(args.Stream, network.Stream.CloseWrite)
}

func (p *testPeer) streamCloseRead(_ context.Context, args streamArgs) (any, error) {
	return p.withStream(args.Stream, network.Stream.CloseRead)
}

func (p *testPeer) streamClose(_ context.Context, args streamArgs) (any, error) {
	return p.withStream(args.Stream, network.Stream.Close)
}

type streamResetArgs struct {
	Stream int                     `json:"stream"`
	Code   network.StreamErrorCode `json:"code"`
}

func (p *testPeer) streamReset(_ context.Context, args streamResetArgs) (any, error) {
	return p.withStream(args.Stream, func(s network.Stream) error { return s.ResetWithError(args.Code) })
}

func (p *testPeer) withStream(number int, do func(network.Stream) error) (any, error) {
	s, err := p.streams.get(number)
	if err != nil {
		return nil, err
	}
	return nil, do(s)
}
