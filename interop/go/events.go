package main

import (
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

type connectednessEvent struct {
	Event string `json:"event"`
	Peer  string `json:"peer"`
	State string `json:"state"` // Connected, Limited or NotConnected
}

type identifiedEvent struct {
	Event string `json:"event"`
	Peer  string `json:"peer"`
	Agent string `json:"agent"`
}

type identifyFailedEvent struct {
	Event string   `json:"event"`
	Peer  string   `json:"peer"`
	Error *failure `json:"error"`
}

// pushedEvent tells that an identify push came, even one that changes no protocol.
type pushedEvent struct {
	Event   string        `json:"event"`
	Peer    string        `json:"peer"`
	Added   []protocol.ID `json:"added"`
	Removed []protocol.ID `json:"removed"`
}

// streamEvent gives the test an inbound stream of the manual protocol to drive.
type streamEvent struct {
	Event    string      `json:"event"`
	Stream   int         `json:"stream"`
	Protocol protocol.ID `json:"protocol"`
	Peer     string      `json:"peer"`
	Remote   string      `json:"remote"`
	Limited  bool        `json:"limited"`
}

// handlerFailedEvent tells how a test protocol's stream failed on this side, after some bytes.
type handlerFailedEvent struct {
	Event    string      `json:"event"`
	Protocol protocol.ID `json:"protocol"`
	Peer     string      `json:"peer"`
	Bytes    int64       `json:"bytes"`
	Error    *failure    `json:"error"`
}

func (p *testPeer) watchEvents() error {
	wanted := []any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerIdentificationFailed),
		new(event.EvtPeerProtocolsUpdated),
	}
	// A full buffer would stop the emitter, and with it the host.
	subscription, err := p.host.EventBus().Subscribe(wanted, eventbus.BufSize(4096))
	if err != nil {
		return err
	}
	go func() {
		for e := range subscription.Out() {
			p.report(e)
		}
	}()
	return nil
}

func (p *testPeer) report(e any) {
	switch e := e.(type) {
	case event.EvtPeerConnectednessChanged:
		p.out.write(connectednessEvent{"connectedness", e.Peer.String(), e.Connectedness.String()})
	case event.EvtPeerIdentificationCompleted:
		p.identified.put(e)
		p.out.write(identifiedEvent{"identified", e.Peer.String(), e.AgentVersion})
	case event.EvtPeerIdentificationFailed:
		p.out.write(identifyFailedEvent{"identify_failed", e.Peer.String(), describe(e.Reason)})
	case event.EvtPeerProtocolsUpdated:
		p.out.write(pushedEvent{"pushed", e.Peer.String(), e.Added, e.Removed})
	}
}
