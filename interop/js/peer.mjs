// A js-libp2p peer that a test drives: JSON requests and replies, one a line, as interop/go/main.go
// shows them. The first request is "start"; "exit" or the end of standard input ends the program.
import { createInterface } from 'node:readline'
import { noise } from '@libp2p/noise'
import { quic } from '@chainsafe/libp2p-quic'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify, identifyPush } from '@libp2p/identify'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { Ended, exchanges, handlers, MANUAL, PROTOCOL_OF, Reader, write } from './streams.mjs'

const MAX_STREAMS = 1024 // of one protocol and connection, each way
const MAX_FAILURE_TEXTS = 5
const TRANSPORTS = { tcp, quic }

let node
const identified = new Map() // what each peer told of itself, by its id
const manual = new Map() // streams that the test drives, by their number
let nextNumber = 1

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)

// --- the host ---------------------------------------------------------------------------

async function start ({ listen, transports, user_agent: userAgent, relay }) {
  const services = {
    identify: identify({ runOnLimitedConnection: true }),
    identifyPush: identifyPush({ runOnLimitedConnection: true }),
    ping: ping({ runOnLimitedConnection: true, maxInboundStreams: MAX_STREAMS })
  }
  if (relay) services.relay = circuitRelayServer({ reservations: { applyDefaultLimit: false } })
  node = await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    nodeInfo: userAgent ? { userAgent } : {},
    addresses: { listen },
    transports: [...transports.map((name) => TRANSPORTS[name]()), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // By default js drops all but five inbound connections a second of one address.
    connectionManager: { inboundConnectionThreshold: Infinity },
    services
  })
  watch()
  const options = {
    runOnLimitedConnection: true,
    maxInboundStreams: MAX_STREAMS,
    maxOutboundStreams: MAX_STREAMS
  }
  for (const [protocol, handler] of Object.entries(handlers)) {
    await node.handle(protocol, serve(protocol, handler), options)
  }
  await node.handle(MANUAL, announce, options)
  return id()
}

function watch () {
  node.addEventListener('peer:identify', ({ detail }) => {
    identified.set(String(detail.peerId), detail)
    say({ event: 'identified', peer: String(detail.peerId), agent: detail.agentVersion })
  })
  for (const [name, state] of [['peer:connect', 'Connected'], ['peer:disconnect', 'NotConnected']]) {
    node.addEventListener(name, ({ detail }) => {
      if (state === 'NotConnected') identified.delete(String(detail))
      say({ event: 'connectedness', peer: String(detail), state })
    })
  }
}

const serve = (protocol, handler) => async (stream, connection) => {
  try {
    await handler(stream)
  } catch (error) {
    const peer = String(connection.remotePeer)
    say({ event: 'handler_failed', protocol, peer, error: describe(error) })
    stream.abort(error)
  }
}

function announce (stream, connection) {
  const number = keep(stream)
  const peer = String(connection.remotePeer)
  say({ event: 'stream', stream: number, protocol: stream.protocol, peer })
}

function id () {
  const listening = node.components.transportManager.getAddrs().map((addr) => bare(addr))
  return {
    peer: String(node.peerId),
    listen: listening.filter((addr) => !addr.includes('/p2p-circuit')),
    addrs: node.getMultiaddrs().map((addr) => bare(addr)),
    protocols: node.getProtocols()
  }
}

// --- connections ------------------------------------------------------------------------

async function connect ({ addr, signal }) {
  const connection = await node.dial(multiaddr(addr), { signal })
  await told(String(connection.remotePeer), signal)
  return describeConnection(connection)
}

async function told (peer, signal) {
  while (!identified.has(peer)) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return identified.get(peer)
}

const connectionsTo = (peer) => node.getConnections(peer ? peerIdFromString(peer) : undefined)

const describeConnection = (connection) => ({
  peer: String(connection.remotePeer),
  remote: bare(connection.remoteAddr),
  direction: connection.direction,
  limited: connection.limits != null,
  security: connection.encryption ?? '',
  muxer: connection.multiplexer ?? '',
  streams: connection.streams.length
})

async function identifyResult ({ peer, signal }) {
  const about = await told(peer, signal)
  const { addresses } = await node.peerStore.get(peerIdFromString(peer))
  return {
    agent: about.agentVersion ?? '',
    protocol_version: about.protocolVersion ?? '',
    protocols: about.protocols,
    listen_addrs: about.listenAddrs.map(bare),
    addrs: addresses.map(({ multiaddr }) => bare(multiaddr)),
    observed: about.observedAddr == null ? '' : bare(about.observedAddr),
    signed_record: about.signedPeerRecord != null
  }
}

// bare returns an address as text without the /p2p at its end, which js adds to most of them.
const bare = (addr) => String(addr).replace(/\/p2p\/[^/]+$/, '')

// --- streams ----------------------------------------------------------------------------

function open ({ peer, allow_limited: runOnLimitedConnection, signal }, protocols) {
  const [connection] = connectionsTo(peer)
  if (connection === undefined) throw new Error(`not connected to ${peer}`)
  return connection.newStream(protocols, { signal, runOnLimitedConnection })
}

const transfer = (kind) => async (args) =>
  exchanges[kind](await open(args, PROTOCOL_OF[kind]), args.size)

async function echoMany (args) {
  const began = performance.now()
  const failures = []
  let done = 0
  let turns = args.count
  const work = async () => {
    while (turns-- > 0) {
      await transfer('echo')(args).then(() => done++, (error) => failures.push(String(error)))
    }
  }
  await Promise.all(Array.from({ length: args.parallel }, work))
  return {
    done,
    failed: failures.length,
    failures: failures.slice(0, MAX_FAILURE_TEXTS),
    seconds: (performance.now() - began) / 1000
  }
}

function keep (stream) {
  manual.set(nextNumber, { stream, reader: new Reader(stream) })
  return nextNumber++
}

const withStream = (run) => async (args) => run(manual.get(args.stream), args)

// --- commands ---------------------------------------------------------------------------

const commands = {
  start,
  id,
  connect,
  disconnect: ({ peer, signal }) => node.hangUp(peerIdFromString(peer), { signal }),
  conns: () => ({ conns: node.getConnections().map(describeConnection) }),
  identify: identifyResult,
  ping: async ({ peer, count, signal }) => {
    const rtts = []
    for (let i = 0; i < count; i++) {
      const options = { signal, runOnLimitedConnection: true }
      rtts.push((await node.services.ping.ping(peerIdFromString(peer), options)) / 1000)
    }
    return { rtts }
  },
  reserve: async ({ addr }) => {
    await node.components.transportManager.listen([multiaddr(`${addr}/p2p-circuit`)])
    return { addrs: id().addrs.filter((addr) => addr.includes('/p2p-circuit')) }
  },

  echo: transfer('echo'),
  sink: transfer('sink'),
  source: transfer('source'),
  echo_many: echoMany,

  stream_open: async (args) => {
    const stream = await open(args, args.protocols)
    return { stream: keep(stream), protocol: stream.protocol }
  },
  stream_read: withStream(async ({ reader }, { size, exact }) => {
    return { data: (await reader.take(size, exact)).toString('base64') }
  }),
  stream_digest: withStream(async ({ reader }) => ({ ...await reader.digest(), seconds: 0 })),
  stream_write: withStream(({ stream }, { data }) => write(stream, Buffer.from(data, 'base64'))),
  stream_close_write: withStream(({ stream }) => stream.close()),
  stream_close_read: withStream(({ stream }) => stream.closeRead()),
  stream_close: withStream(async ({ stream }) => {
    await stream.close()
    await stream.closeRead()
  }),
  stream_reset: withStream(({ stream }) => stream.abort(new Error('as the test asked')))
}

const describe = (error) => ({
  text: `${error.name}: ${error.message}${(error.errors ?? []).map((one) => `; ${one}`).join('')}`,
  reset: error instanceof Ended ? error.status === 'reset' : error.name === 'StreamResetError',
  timeout: error.name === 'TimeoutError',
  stream_code: null, // js tells no codes
  conn_code: null,
  relay_status: null,
  remote: null
})

async function perform ({ id, cmd, timeout, args }) {
  const signal = AbortSignal.timeout(timeout * 1000)
  const over = new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })
  try {
    const result = await Promise.race([commands[cmd]({ ...args, signal }), over])
    say({ id, result: result ?? {} })
  } catch (error) {
    say({ id, error: describe(error) })
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  if (request.cmd === 'exit') {
    await node?.stop()
    say({ id: request.id, result: {} })
    break
  }
  const performed = perform(request)
  if (request.cmd === 'start') await performed // the others need its host
}
process.exit(0) // timers of js-libp2p may still be there
