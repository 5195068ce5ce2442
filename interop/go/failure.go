package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strconv"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

// failure is how an error looks to the test; codes are absent when the error carries none.
type failure struct {
	Text        string  `json:"text"`
	Reset       bool    `json:"reset"`
	Timeout     bool    `json:"timeout"`
	StreamCode  *uint32 `json:"stream_code"`
	ConnCode    *uint32 `json:"conn_code"`
	RelayStatus *int32  `json:"relay_status"`
	Remote      *bool   `json:"remote"` // who reset the stream or closed the connection
}

// go-libp2p keeps the relay's status of a refused circuit in the text alone.
var circuitRefused = regexp.MustCompile(`error opening relay circuit: \w* \((\d+)\)`)

func describe(err error) *failure {
	f := &failure{
		Text:    err.Error(),
		Reset:   errors.Is(err, network.ErrReset),
		Timeout: errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err),
	}
	if stream := (*network.StreamError)(nil); errors.As(err, &stream) {
		code := uint32(stream.ErrorCode)
		f.StreamCode, f.Remote = &code, &stream.Remote
	}
	if conn := (*network.ConnError)(nil); errors.As(err, &conn) {
		code := uint32(conn.ErrorCode)
		f.ConnCode, f.Remote = &code, &conn.Remote
	}
	var refusal client.ReservationError
	if errors.As(err, &refusal) {
		status := int32(refusal.Status)
		f.RelayStatus = &status
	} else if match := circuitRefused.FindStringSubmatch(f.Text); match != nil {
		if number, err := strconv.ParseInt(match[1], 10, 32); err == nil {
			status := int32(number)
			f.RelayStatus = &status
		}
	}
	return f
}
