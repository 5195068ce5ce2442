package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

type peerArgs struct {
	Peer peer.ID `json:"peer"`
}

type connectArgs struct {
	Addr        string `json:"addr"` // with its /p2p; through a relay when it has /p2p-circuit
	ForceDirect bool   `json:"force_direct"`
}

type connResult struct {
	ID         string      `json:"id"`
	Peer       string      `json:"peer"`
	Local      string      `json:"local"`
	Remote     string      `json:"remote"`
	Direction  string      `json:"direction"` // Inbound or Outbound
	Limited    bool        `json:"limited"`
	Transport  string      `json:"transport"`
	Security   protocol.ID `json:"security"`
	Muxer      protocol.ID `json:"muxer"`
	EarlyMuxer bool        `json:"early_muxer"`
	Streams    int         `json:"streams"`
}

// connect dials exactly the given address and returns once identify is over.
func (p *testPeer) connect(ctx context.Context, args connectArgs) (any, error) {
	info, err := peer.AddrInfoFromString(args.Addr)
	if err != nil {
		return nil, err
	}
	// What identify told earlier would be dialled too, and an address that failed a moment ago
	// would not: both make a test depend on the ones before.
	p.host.Peerstore().ClearAddrs(info.ID)
	if net, ok := p.host.Network().(*swarm.Swarm); ok {
		net.Backoff().Clear(info.ID)
	}
	ctx = network.WithAllowLimitedConn(ctx, "test")
	if args.ForceDirect {
		ctx = network.WithForceDirectDial(ctx, "test")
	}
	if err := p.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	conns := p.host.Network().ConnsToPeer(info.ID)
	if len(conns) == 0 {
		return nil, errors.New("connected, then closed at once")
	}
	return describeConn(conns[len(conns)-1]), nil // the newest is the last
}

func describeConn(c network.Conn) connResult {
	stat, state := c.Stat(), c.ConnState()
	return connResult{
		ID:         c.ID(),
		Peer:       c.RemotePeer().String(),
		Local:      c.LocalMultiaddr().String(),
		Remote:     c.RemoteMultiaddr().String(),
		Direction:  stat.Direction.String(),
		Limited:    stat.Limited,
		Transport:  state.Transport,
		Security:   state.Security,
		Muxer:      state.StreamMultiplexer,
		EarlyMuxer: state.UsedEarlyMuxerNegotiation,
		Streams:    len(c.GetStreams()),
	}
}

type connsResult struct {
	Conns []connResult `json:"conns"`
}

func (p *testPeer) conns(context.Context, struct{}) (any, error) {
	result := connsResult{Conns: []connResult{}}
	for _, c := range p.host.Network().Conns() {
		result.Conns = append(result.Conns, describeConn(c))
	}
	return result, nil
}

type disconnectArgs struct {
	Peer peer.ID               `json:"peer"`
	Code network.ConnErrorCode `json:"code"` // 0 closes without a word
}

func (p *testPeer) disconnect(_ context.Context, args disconnectArgs) (any, error) {
	var failed error
	for _, c := range p.host.Network().ConnsToPeer(args.Peer) {
		failed = errors.Join(failed, c.CloseWithError(args.Code))
	}
	return nil, failed
}

type pingArgs struct {
	Peer  peer.ID `json:"peer"`
	Count int     `json:"count"`
}

type pingResult struct {
	RTTs []float64 `json:"rtts"`
}

// ping sends count payloads on one stream.
func (p *testPeer) ping(ctx context.Context, args pingArgs) (any, error) {
	deadline := ctx
	ctx, cancel := context.WithCancel(network.WithNoDial(ctx, "test"))
	defer cancel()
	rtts := []float64{}
	for answer := range ping.Ping(ctx, p.host, args.Peer) {
		if answer.Error != nil {
			return nil, answer.Error
		}
		if rtts = append(rtts, answer.RTT.Seconds()); len(rtts) == args.Count {
			return pingResult{RTTs: rtts}, nil
		}
	}
	return nil, deadline.Err()
}

// identifyBook keeps the last identification of each peer.
type identifyBook struct {
	mu      sync.Mutex
	last    map[peer.ID]event.EvtPeerIdentificationCompleted
	changed chan struct{} // closed at the next change
}

func (b *identifyBook) put(e event.EvtPeerIdentificationCompleted) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.last = map[peer.ID]event.EvtPeerIdentificationCompleted{}
	}
	b.last[e.Peer] = e
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

func (b *identifyBook) look(who peer.ID) (event.EvtPeerIdentificationCompleted, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.last[who], b.changed
}

// of returns what a peer said on a connection that is still open, waiting for it if need be.
func (b *identifyBook) of(ctx context.Context, who peer.ID) (event.EvtPeerIdentificationCompleted, error) {
	for {
		e, changed := b.look(who)
		if e.Conn != nil && !e.Conn.IsClosed() {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
}

type identifyResult struct {
	Agent           string        `json:"agent"`
	ProtocolVersion string        `json:"protocol_version"`
	Protocols       []protocol.ID `json:"protocols"` // now: a later push counts
	ListenAddrs     []string      `json:"listen_addrs"`
	Addrs           []string      `json:"addrs"`    // in the peerstore now: a later push counts
	Observed        string        `json:"observed"` // our address as the peer sees it, or ""
	SignedRecord    bool          `json:"signed_record"`
}

func (p *testPeer) identify(ctx context.Context, args peerArgs) (any, error) {
	e, err := p.identified.of(ctx, args.Peer)
	if err != nil {
		return nil, err
	}
	result := describeIdentify(e)
	result.Addrs = texts(p.host.Peerstore().Addrs(args.Peer))
	result.Protocols, err = p.host.Peerstore().GetProtocols(args.Peer)
	slices.Sort(result.Protocols)
	return result, err
}

func describeIdentify(e event.EvtPeerIdentificationCompleted) identifyResult {
	observed := ""
	if e.ObservedAddr != nil {
		observed = e.ObservedAddr.String()
	}
	return identifyResult{
		Agent:           e.AgentVersion,
		ProtocolVersion: e.ProtocolVersion,
		Protocols:       e.Protocols,
		ListenAddrs:     texts(e.ListenAddrs),
		Observed:        observed,
		SignedRecord:    e.SignedPeerRecord != nil,
	}
}
