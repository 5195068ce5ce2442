// Reading, writing and the test protocols on js-libp2p streams.
import { createHash } from 'node:crypto'

const PREFIX = '/peerup-test/'
export const ECHO = `${PREFIX}echo/1.0.0` // sends back what comes, half-closes at its end
export const SINK = `${PREFIX}sink/1.0.0` // reads to the end, answers u64 count and SHA-256
export const SOURCE = `${PREFIX}source/1.0.0` // reads u64 n, sends n pattern bytes, half-closes
export const RESET = `${PREFIX}reset/1.0.0` // reads u32 code, resets the stream (js sends no code)
export const MANUAL = `${PREFIX}manual/1.0.0` // tells the test, which drives the stream
export const HANG = `${PREFIX}hang/1.0.0` // neither reads nor writes

const PATTERN_PERIOD = 251
const PATTERN = Buffer.from(Array.from({ length: PATTERN_PERIOD * 256 }, (_, i) => i % PATTERN_PERIOD))

// Reader takes what a stream delivers. `for await` would hang on a stream that had ended before.
export class Reader {
  #stream
  #chunks = []
  #wake = () => {}

  constructor (stream) {
    this.#stream = stream
    stream.addEventListener('message', (event) => {
      this.#chunks.push(Buffer.from(event.data.subarray()))
      this.#wake()
    })
    for (const name of ['remoteCloseWrite', 'close', 'end']) {
      stream.addEventListener(name, () => this.#wake())
    }
  }

  // next returns the next bytes, null at the end; it throws when the stream was reset.
  async next () {
    while (this.#chunks.length === 0) {
      const { status, remoteWriteStatus, readBufferLength } = this.#stream
      if (status === 'reset' || status === 'aborted') throw new Ended(status)
      const over = status === 'closed' || remoteWriteStatus === 'closed'
      if (over && readBufferLength === 0) return null
      await new Promise((resolve) => { this.#wake = resolve })
    }
    return this.#chunks.shift()
  }

  // take returns up to size bytes, or exactly so many unless the end comes before.
  async take (size, exactly) {
    const parts = []
    for (let wanted = size; wanted > 0 && (exactly || parts.length === 0);) {
      const chunk = await this.next()
      if (chunk === null) break
      const part = chunk.subarray(0, wanted)
      if (part.length < chunk.length) this.#chunks.unshift(chunk.subarray(wanted))
      parts.push(part)
      wanted -= part.length
    }
    return Buffer.concat(parts)
  }

  async digest () {
    const hash = createHash('sha256')
    let bytes = 0
    for (let chunk; (chunk = await this.next()) !== null;) {
      hash.update(chunk)
      bytes += chunk.length
    }
    return { bytes, sha256: hash.digest('hex') }
  }
}

// Ended is how a stream failed: "reset" by the far side, "aborted" here or with its connection.
export class Ended extends Error {
  constructor (status) {
    super(`stream ${status}`)
    this.status = status
  }
}

// write waits until more may be written. onDrain() would not: its promise is never renewed.
export async function write (stream, data) {
  if (stream.send(data) || !stream.writableNeedsDrain) return
  const { promise, resolve, reject } = Promise.withResolvers()
  const failed = () => reject(new Ended(stream.status))
  stream.addEventListener('drain', resolve)
  stream.addEventListener('close', failed)
  try {
    await promise
  } finally {
    stream.removeEventListener('drain', resolve)
    stream.removeEventListener('close', failed)
  }
}

export async function writePattern (stream, size) {
  for (let left = size; left > 0; left -= PATTERN.length) {
    await write(stream, PATTERN.subarray(0, Math.min(left, PATTERN.length)))
  }
}

export function patternDigest (size) {
  const hash = createHash('sha256')
  for (let left = size; left > 0; left -= PATTERN.length) {
    hash.update(PATTERN.subarray(0, Math.min(left, PATTERN.length)))
  }
  return hash.digest('hex')
}

// handlers serve a stream that somebody opened, by protocol; what they throw resets it.
export const handlers = {
  [ECHO]: async (stream) => {
    const reader = new Reader(stream)
    for (let chunk; (chunk = await reader.next()) !== null;) await write(stream, chunk)
    await stream.close()
  },
  [SINK]: async (stream) => {
    const { bytes, sha256 } = await new Reader(stream).digest()
    await write(stream, Buffer.concat([u64(bytes), Buffer.from(sha256, 'hex')]))
    await stream.close()
  },
  [SOURCE]: async (stream) => {
    const request = await new Reader(stream).take(8, true)
    await writePattern(stream, Number(request.readBigUInt64BE()))
    await stream.close()
  },
  [RESET]: async (stream) => {
    await new Reader(stream).take(4, true)
    stream.abort(new Error('as it was asked to'))
  },
  [HANG]: async () => {}
}

// exchange sends a request and its end, and meanwhile lets read take the answer.
export async function exchange (stream, send, read) {
  const began = performance.now()
  const request = async () => {
    await send(stream)
    await stream.close()
  }
  try {
    const [result] = await Promise.all([read(new Reader(stream)), request()])
    return { ...result, seconds: (performance.now() - began) / 1000 }
  } catch (error) {
    stream.abort(error)
    throw error
  }
}

export const exchanges = {
  echo: (stream, size) =>
    exchange(stream, (s) => writePattern(s, size), (reader) => readPattern(reader, size)),
  source: (stream, size) =>
    exchange(stream, (s) => write(s, u64(size)), (reader) => readPattern(reader, size)),
  sink: (stream, size) =>
    exchange(stream, (s) => writePattern(s, size), async (reader) => {
      const answer = await reader.take(41, true)
      if (answer.length !== 40) throw new Error(`an answer of ${answer.length} bytes`)
      const bytes = Number(answer.readBigUInt64BE())
      return checked({ bytes, sha256: answer.subarray(8).toString('hex') }, size)
    })
}

export const PROTOCOL_OF = { echo: ECHO, source: SOURCE, sink: SINK }

async function readPattern (reader, size) {
  return checked(await reader.digest(), size)
}

function checked (result, size) {
  if (result.bytes !== size || result.sha256 !== patternDigest(size)) {
    throw new Error(`sent ${size} bytes, ${result.bytes} other ones came back`)
  }
  return result
}

function u64 (value) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
