package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// patternPeriod is a prime, so that no block of a round size looks like its neighbour.
const patternPeriod = 251

// pattern returns n bytes, the byte at offset i being i mod 251.
func pattern(n int64) io.Reader { return io.LimitReader(new(patternReader), n) }

type patternReader struct{ next byte }

func (r *patternReader) Read(buffer []byte) (int, error) {
	first, head := int(r.next), min(len(buffer), patternPeriod)
	for i := range head {
		buffer[i] = byte((first + i) % patternPeriod)
	}
	for done := head; done < len(buffer); done *= 2 { // double what is there
		copy(buffer[done:], buffer[:done])
	}
	r.next = byte((first + len(buffer)) % patternPeriod)
	return len(buffer), nil
}

func patternDigest(n int64) string {
	hash := sha256.New()
	io.Copy(hash, pattern(n))
	return hex.EncodeToString(hash.Sum(nil))
}
