package main

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// relayArgs sets up the relay service; zero keeps go-libp2p's default.
type relayArgs struct {
	TTL             float64 `json:"ttl"`      // of a reservation
	Duration        float64 `json:"duration"` // of a circuit
	Data            int64   `json:"data"`     // bytes of a circuit, each way
	Unlimited       bool    `json:"unlimited"`
	MaxReservations int     `json:"max_reservations"`
	MaxCircuits     int     `json:"max_circuits"` // of one peer

	// Peers that may reserve and that may dial through; absent lets everyone.
	AllowReserve *[]peer.ID `json:"allow_reserve"`
	AllowConnect *[]peer.ID `json:"allow_connect"`

	// Reservations list private addresses of the relay too: loopback tests have no others.
	PrivateAddrs bool `json:"private_addrs"`
}

func relayOptions(args startArgs) ([]libp2p.Option, error) {
	var options []libp2p.Option
	if args.Relay != nil {
		options = append(options, libp2p.EnableRelayService(serviceOptions(*args.Relay)...))
	}
	if len(args.StaticRelays) > 0 {
		addrs, err := multiaddrs(args.StaticRelays)
		if err != nil {
			return nil, err
		}
		relays, err := peer.AddrInfosFromP2pAddrs(addrs...)
		if err != nil {
			return nil, err
		}
		// By default a refused reservation is tried again after an hour.
		options = append(options, libp2p.EnableAutoRelayWithStaticRelays(relays,
			autorelay.WithBootDelay(0),
			autorelay.WithMinInterval(time.Second),
			autorelay.WithBackoff(2*time.Second)))
	}
	if args.HolePunching {
		options = append(options, libp2p.EnableHolePunching())
	}
	return options, nil
}

func serviceOptions(args relayArgs) []relay.Option {
	resources := relay.DefaultResources()
	resources.MaxReservationsPerIP = 1 << 16 // in a test everyone comes from one address
	if args.TTL > 0 {
		resources.ReservationTTL = seconds(args.TTL)
	}
	if args.Duration > 0 {
		resources.Limit.Duration = seconds(args.Duration)
	}
	if args.Data > 0 {
		resources.Limit.Data = args.Data
	}
	if args.MaxReservations > 0 {
		resources.MaxReservations = args.MaxReservations
	}
	if args.MaxCircuits > 0 {
		resources.MaxCircuits = args.MaxCircuits
	}
	acl := allowList{args.AllowReserve, args.AllowConnect}
	options := []relay.Option{relay.WithResources(resources), relay.WithACL(acl)}
	if args.Unlimited {
		options = append(options, relay.WithInfiniteLimits())
	}
	if args.PrivateAddrs {
		all := func(ma.Multiaddr) bool { return true }
		options = append(options, relay.WithReservationAddressFilter(all))
	}
	return options
}

// allowList says who may reserve and who may dial; nil means everyone.
type allowList struct{ reserve, connect *[]peer.ID }

func (l allowList) AllowReserve(who peer.ID, _ ma.Multiaddr) bool {
	return l.reserve == nil || slices.Contains(*l.reserve, who)
}

func (l allowList) AllowConnect(source peer.ID, _ ma.Multiaddr, _ peer.ID) bool {
	return l.connect == nil || slices.Contains(*l.connect, source)
}

// awaitRelayService waits until the hop protocol is served, so that the first identify has it.
// The service starts in the background, and only when the host believes it is public.
func (p *testPeer) awaitRelayService(ctx context.Context) error {
	for !slices.Contains(p.host.Mux().Protocols(), proto.ProtoIDv2Hop) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

type reserveArgs struct {
	Addr string `json:"addr"` // of the relay, with its /p2p
}

type reserveResult struct {
	Expires       int64    `json:"expires"` // seconds since 1970
	Addrs         []string `json:"addrs"`
	LimitDuration float64  `json:"limit_duration"` // 0: no limit
	LimitData     uint64   `json:"limit_data"`     // 0: no limit
	Voucher       bool     `json:"voucher"`
}

func (p *testPeer) reserve(ctx context.Context, args reserveArgs) (any, error) {
	info, err := peer.AddrInfoFromString(args.Addr)
	if err != nil {
		return nil, err
	}
	reservation, err := client.Reserve(ctx, p.host, *info)
	if err != nil {
		return nil, err
	}
	return reserveResult{
		Expires:       reservation.Expiration.Unix(),
		Addrs:         texts(reservation.Addrs),
		LimitDuration: reservation.LimitDuration.Seconds(),
		LimitData:     reservation.LimitData,
		Voucher:       reservation.Voucher != nil,
	}, nil
}
