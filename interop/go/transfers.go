package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

type transferArgs struct {
	Peer         peer.ID `json:"peer"`
	Size         int64   `json:"size"`
	AllowLimited bool    `json:"allow_limited"`
}

type transferResult struct {
	Bytes   int64   `json:"bytes"`
	SHA256  string  `json:"sha256"`
	Seconds float64 `json:"seconds"` // from the open stream to the end of the answer
}

// openStream opens a stream on a connection there is; it never dials.
func (p *testPeer) openStream(
	ctx context.Context, who peer.ID, allowLimited bool, protocols ...protocol.ID,
) (network.Stream, error) {
	ctx = network.WithNoDial(ctx, "test")
	if allowLimited {
		ctx = network.WithAllowLimitedConn(ctx, "test")
	}
	return p.host.NewStream(ctx, who, protocols...)
}

// exchange opens a stream, sends a request with a half-close after it, and meanwhile lets read
// take the answer.
func (p *testPeer) exchange(
	ctx context.Context, args transferArgs, id protocol.ID, request io.Reader,
	read func(io.Reader) (transferResult, error),
) (result transferResult, err error) {
	s, err := p.openStream(ctx, args.Peer, args.AllowLimited, id)
	if err != nil {
		return result, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.SetDeadline(deadline)
	}
	began := time.Now()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(s, request)
		if err == nil {
			err = s.CloseWrite()
		}
		sent <- err
	}()
	result, err = read(s)
	result.Seconds = time.Since(began).Seconds()
	if err != nil {
		s.Reset() // wakes the sender too
		<-sent
		return result, err
	}
	if err := <-sent; err != nil {
		s.Reset()
		return result, err
	}
	return result, s.Close()
}

func (p *testPeer) echo(ctx context.Context, args transferArgs) (any, error) {
	return p.echoOnce(ctx, args)
}

func (p *testPeer) echoOnce(ctx context.Context, args transferArgs) (transferResult, error) {
	return p.exchange(ctx, args, echoProtocol, pattern(args.Size),
		func(answer io.Reader) (transferResult, error) { return readPattern(answer, args.Size) })
}

func (p *testPeer) sink(ctx context.Context, args transferArgs) (any, error) {
	return p.exchange(ctx, args, sinkProtocol, pattern(args.Size), func(answer io.Reader) (transferResult, error) {
		var result struct {
			Bytes  int64
			Digest [sha256.Size]byte
		}
		if err := binary.Read(answer, binary.BigEndian, &result); err != nil {
			return transferResult{}, err
		}
		if err := expectEnd(answer); err != nil {
			return transferResult{}, err
		}
		return checked(result.Bytes, hex.EncodeToString(result.Digest[:]), args.Size)
	})
}

type sourceArgs struct {
	transferArgs
	PauseAfter int64   `json:"pause_after"` // bytes read before the pause
	Pause      float64 `json:"pause"`
}

// source asks for pattern bytes and reads them, if told so with a pause that fills the window.
func (p *testPeer) source(ctx context.Context, args sourceArgs) (any, error) {
	request := bytes.NewReader(binary.BigEndian.AppendUint64(nil, uint64(args.Size)))
	return p.exchange(ctx, args.transferArgs, sourceProtocol, request,
		func(answer io.Reader) (transferResult, error) {
			slow := &pausingReader{answer, args.PauseAfter, seconds(args.Pause)}
			return readPattern(slow, args.Size)
		})
}

// pausingReader sleeps once, after so many bytes.
type pausingReader struct {
	io.Reader
	left  int64
	pause time.Duration
}

func (r *pausingReader) Read(buffer []byte) (int, error) {
	if r.left <= 0 && r.pause > 0 {
		time.Sleep(r.pause)
		r.pause = 0
	} else if r.left > 0 {
		buffer = buffer[:min(int64(len(buffer)), r.left)]
	}
	n, err := r.Reader.Read(buffer)
	r.left -= int64(n)
	return n, err
}

type manyArgs struct {
	transferArgs
	Count    int `json:"count"`
	Parallel int `json:"parallel"` // streams at once; 1 is one after the other
}

type manyResult struct {
	Done     int      `json:"done"`
	Failed   int      `json:"failed"`
	Failures []string `json:"failures"` // text of the first few
	Seconds  float64  `json:"seconds"`
}

const maxFailureTexts = 5

func (p *testPeer) echoMany(ctx context.Context, args manyArgs) (any, error) {
	began := time.Now()
	errs := make(chan error)
	turns := make(chan struct{}, args.Count)
	for range args.Count {
		turns <- struct{}{}
	}
	close(turns)
	var workers sync.WaitGroup
	for range args.Parallel {
		workers.Go(func() {
			for range turns {
				_, err := p.echoOnce(ctx, args.transferArgs)
				errs <- err
			}
		})
	}
	result := manyResult{Failures: []string{}}
	for range args.Count {
		if err := <-errs; err == nil {
			result.Done++
		} else if result.Failed++; result.Failed <= maxFailureTexts {
			result.Failures = append(result.Failures, err.Error())
		}
	}
	workers.Wait()
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

func readPattern(answer io.Reader, size int64) (transferResult, error) {
	result, err := digest(answer)
	if err != nil {
		return result, err
	}
	return checked(result.Bytes, result.SHA256, size)
}

func digest(from io.Reader) (transferResult, error) {
	hash := sha256.New()
	n, err := io.Copy(hash, from)
	return transferResult{Bytes: n, SHA256: hex.EncodeToString(hash.Sum(nil))}, err
}

func checked(bytes int64, digest string, size int64) (transferResult, error) {
	result := transferResult{Bytes: bytes, SHA256: digest}
	if bytes != size || digest != patternDigest(size) {
		return result, fmt.Errorf("sent %d bytes, %d other ones came back", size, bytes)
	}
	return result, nil
}

func expectEnd(from io.Reader) error {
	switch n, err := io.Copy(io.Discard, from); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("%d bytes too many", n)
	}
	return nil
}
