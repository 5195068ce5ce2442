package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

type startArgs struct {
	Seed       string   `json:"seed"` // hex, 32 bytes of Ed25519 seed; "" makes a new key
	Listen     []string `json:"listen"`
	Announce   []string `json:"announce"` // advertised instead of the listen addresses
	Transports []string `json:"transports"`
	Security   []string `json:"security"` // in the order they are proposed
	EarlyMuxer bool     `json:"early_muxer"`
	UserAgent  string   `json:"user_agent"`

	ForcePublic  bool `json:"force_public"`
	ForcePrivate bool `json:"force_private"`
	HolePunching bool `json:"hole_punching"`
	Limits       bool `json:"limits"` // go-libp2p's own limits on connections and streams

	Relay        *relayArgs `json:"relay"` // serve as a relay
	StaticRelays []string   `json:"static_relays"`
}

type idResult struct {
	Peer      string        `json:"peer"`
	Addrs     []string      `json:"addrs"`  // advertised
	Listen    []string      `json:"listen"` // bound
	Protocols []protocol.ID `json:"protocols"`
	Version   string        `json:"version"` // of go-libp2p
}

var transports = map[string]any{
	"tcp":  tcp.NewTCPTransport,
	"quic": quic.NewTransport,
}

// security is one secure channel: its constructor as go uses it, which offers the muxers inside
// the handshake, and one that offers none, so that the muxer is negotiated afterwards.
type security struct {
	id          protocol.ID
	early, late any
}

var securities = map[string]security{
	"noise": {noise.ID, noise.New, func(id protocol.ID, key crypto.PrivKey) (*noise.Transport, error) {
		return noise.New(id, key, nil)
	}},
	"tls": {libp2ptls.ID, libp2ptls.New, func(id protocol.ID, key crypto.PrivKey) (*libp2ptls.Transport, error) {
		return libp2ptls.New(id, key, nil)
	}},
}

func (p *testPeer) start(ctx context.Context, args startArgs) (any, error) {
	build := []func(startArgs) ([]libp2p.Option, error){
		identityOptions, addressOptions, transportOptions, limitOptions, relayOptions,
	}
	options := []libp2p.Option{libp2p.DisableMetrics()}
	for _, part := range build {
		some, err := part(args)
		if err != nil {
			return nil, err
		}
		options = append(options, some...)
	}
	host, err := libp2p.New(options...)
	if err != nil {
		return nil, err
	}
	p.host = host
	if err := p.watchEvents(); err != nil {
		return nil, err
	}
	for id, kind := range testProtocols {
		host.SetStreamHandler(id, p.handler(kind))
	}
	if args.Relay != nil {
		if err := p.awaitRelayService(ctx); err != nil {
			return nil, err
		}
	}
	return p.id(ctx, struct{}{})
}

func identityOptions(args startArgs) ([]libp2p.Option, error) {
	seed, err := hex.DecodeString(args.Seed)
	if err != nil {
		return nil, err
	}
	if len(seed) == 0 {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
	} else if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the seed has %d bytes, not %d", len(seed), ed25519.SeedSize)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{libp2p.Identity(key)}
	if args.UserAgent != "" {
		options = append(options, libp2p.UserAgent(args.UserAgent))
	}
	return options, nil
}

func addressOptions(args startArgs) ([]libp2p.Option, error) {
	options := []libp2p.Option{libp2p.ListenAddrStrings(args.Listen...)}
	if len(args.Listen) == 0 {
		// NoListenAddrs switches circuits off too, also those that we dial: switch them on after it.
		options = []libp2p.Option{libp2p.NoListenAddrs, libp2p.EnableRelay()}
	}
	if args.ForcePublic || args.Relay != nil { // a private host starts no relay service
		options = append(options, libp2p.ForceReachabilityPublic())
	}
	if args.ForcePrivate {
		options = append(options, libp2p.ForceReachabilityPrivate())
	}
	if len(args.Announce) > 0 {
		announced, err := multiaddrs(args.Announce)
		if err != nil {
			return nil, err
		}
		factory := func([]ma.Multiaddr) []ma.Multiaddr { return announced }
		options = append(options, libp2p.AddrsFactory(factory))
	}
	return options, nil
}

func transportOptions(args startArgs) ([]libp2p.Option, error) {
	var options []libp2p.Option
	for _, name := range args.Transports {
		constructor, known := transports[name]
		if !known {
			return nil, fmt.Errorf("unknown transport %q", name)
		}
		options = append(options, libp2p.Transport(constructor))
	}
	for _, name := range args.Security {
		security, known := securities[name]
		if !known {
			return nil, fmt.Errorf("unknown secure channel %q", name)
		}
		constructor := security.late
		if args.EarlyMuxer {
			constructor = security.early
		}
		options = append(options, libp2p.Security(string(security.id), constructor))
	}
	return options, nil
}

// limitOptions lifts every limit unless asked not to: an infinite resource manager would still
// cap connections per subnet.
func limitOptions(args startArgs) ([]libp2p.Option, error) {
	if args.Limits {
		return nil, nil
	}
	return []libp2p.Option{
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ConnectionManager(&connmgr.NullConnMgr{}),
	}, nil
}

func (p *testPeer) id(context.Context, struct{}) (any, error) {
	protocols := p.host.Mux().Protocols()
	slices.Sort(protocols)
	return idResult{
		Peer:      p.host.ID().String(),
		Addrs:     texts(p.host.Addrs()),
		Listen:    texts(p.boundAddrs()),
		Protocols: protocols,
		Version:   libraryVersion(),
	}, nil
}

// boundAddrs leaves out the bare /p2p-circuit that go lists among its listen addresses.
func (p *testPeer) boundAddrs() []ma.Multiaddr {
	return ma.FilterAddrs(p.host.Network().ListenAddresses(), func(addr ma.Multiaddr) bool {
		_, err := addr.ValueForProtocol(ma.P_CIRCUIT)
		return err != nil
	})
}

func libraryVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/libp2p/go-libp2p" {
			return module.Version
		}
	}
	return "unknown"
}

func multiaddrs(texts []string) ([]ma.Multiaddr, error) {
	addrs := make([]ma.Multiaddr, len(texts))
	for i, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		addrs[i] = addr
	}
	return addrs, nil
}

func texts(addrs []ma.Multiaddr) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return texts
}
