#!/usr/bin/env node
// A client for a mosaic-fed instance with @grpc/grpc-js, written from docs/protocol.md and the .proto files alone.
// The commands, what they print and the exit codes are in ../README.md.

import { createHash, generateKeyPairSync, randomBytes, randomUUID, sign, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const messages = loadSync(
  [...['enrol', 'connect', 'query'].map((name) => `mosaic/federation/v1/${name}.proto`), 'health.proto', 'refusal.proto'],
  {
    includeDirs: [at('../../../proto/proto'), at('..')],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  },
)
const { mosaic, grpc: { health } } = grpc.loadPackageDefinition(messages)
const { EnrolService, ConnectService, QueryService } = mosaic.federation.v1
const decode = (type, bytes) => messages[type].deserialize(bytes)

const DOMAIN = 'mosaic.federation.v1'
const DIAL_MS = 3_000
const CALL_MS = 10_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const EXIT = { bad_invite: 2, wrong_fingerprint: 2, occupied: 2, refused: 3, failed: 4, not_believed: 5 }

const say = (event, keys = {}) => process.stdout.write(JSON.stringify({ event, ...keys }) + '\n')
const tell = (words) => process.stderr.write(words + '\n')

/** What did not work: the last line, and its exit code. */
class Ended extends Error {
  constructor(event, keys) {
    super(event)
    Object.assign(this, { event, keys })
  }
}
const check = (good, why, event = 'not_believed') => {
  if (!good) throw new Ended(event, { why })
}

// ---- connections and calls

/** A channel to the first address that answers. Of the last one the channel is given back even if it did not: the call that
 * follows fails with the library's words for why. */
async function dial(link) {
  const { addresses, tls_name, root: ca, key, certificate: cert } = link
  const checkServerIdentity = (_, { subjectaltname }) => whoAnswers(link, subjectaltname)
  const context = createSecureContext({ ca, key, cert, minVersion: 'TLSv1.3' })
  const credentials = grpc.credentials.createFromSecureContext(context, { checkServerIdentity })
  const options = {
    'grpc.ssl_target_name_override': tls_name,
    'grpc.enable_retries': 0, // an invite is good once, and nothing here is asked twice
    'grpc.enable_http_proxy': 0, // the addresses of the invite and no others
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1, // a new dial is a new connection
  }
  for (const address of addresses) {
    const channel = new grpc.Channel(`dns:///${address}`, credentials, options)
    if ((await isUp(channel)) || address === addresses.at(-1)) return channel
    channel.close()
  }
}

/** Chain and time are the library's to check. That it is this instance's certificate is said by the name, and by the URI. */
function whoAnswers({ tls_name, instance_id }, names) {
  const wanted = [`DNS:${tls_name}`, `URI:spiffe://${tls_name}/instance/${instance_id}`]
  if (!wanted.every((name) => names?.split(', ').includes(name))) return new Error(`somebody else answers: ${names}`)
}

async function isUp(channel) {
  const { READY, TRANSIENT_FAILURE } = grpc.connectivityState
  const until = Date.now() + DIAL_MS
  for (;;) {
    const state = channel.getConnectivityState(true)
    if (state === READY || state === TRANSIENT_FAILURE) return state === READY
    const late = await new Promise((done) => channel.watchConnectivityState(state, until, done))
    if (late) return false
  }
}

async function withLink(link, use) {
  const channel = await dial(link)
  try {
    return await use(channel)
  } finally {
    channel.close()
  }
}

/** Begins a call; `asked.request_id` is the id that came back, once something did. */
function begin(Service, channel, method, request, request_id, deadline, callback) {
  const client = new Service('', null, { channelOverride: channel })
  const metadata = new grpc.Metadata()
  metadata.set('x-request-id', request_id ?? randomUUID())
  const call = client[method](request, metadata, deadline ? { deadline: Date.now() + deadline } : {}, callback)
  const asked = { call, request_id: null }
  call.on('metadata', (headers) => (asked.request_id = cameBack(headers)))
  return asked
}

/** One call with one answer. */
function ask(Service, channel, method, request, request_id) {
  return new Promise((good, bad) => {
    const asked = begin(Service, channel, method, request, request_id, CALL_MS, (error, answer) =>
      error ? bad(error) : good({ answer, request_id: asked.request_id }),
    )
  })
}

const cameBack = (metadata) => metadata?.get('x-request-id')[0] ?? null

/** What a gRPC error says, as a line of the contract: `refused` where it came with a reason of this protocol, else `failed`. */
function failure(error) {
  const code = grpc.status[error.code]
  const refused = { code, retry_after_ms: null, violations: [], message: error.details, request_id: cameBack(error.metadata) }
  try {
    for (const bytes of error.metadata.get('grpc-status-details-bin')) {
      for (const { type_url, value } of decode('google.rpc.Status', bytes).details) {
        const type = type_url.replace('type.googleapis.com/', '')
        if (type === 'google.rpc.ErrorInfo') {
          const { reason, domain } = decode(type, value)
          if (domain === DOMAIN) Object.assign(refused, { reason, domain })
        } else if (type === 'google.rpc.RetryInfo') {
          const { seconds, nanos } = decode(type, value).retry_delay
          refused.retry_after_ms = seconds * 1_000 + Math.ceil(nanos / 1e6) // rounded up: too early is another refusal
        } else if (type === 'google.rpc.BadRequest') refused.violations = decode(type, value).field_violations
      }
    }
  } catch {
    // details that are no message give no reason
  }
  if (!refused.reason) return new Ended('failed', { code, detail: error.details })
  if (refused.reason === 'NOT_PERMITTED') tell('The link is over: ask its owner for a new invite.')
  return new Ended('refused', refused)
}

const isCallError = (error) => error instanceof Error && Number.isInteger(error.code) && 'details' in error

// ---- what is kept: a directory with this side's id, for ever, and one link

const idFile = (dir) => join(dir, 'instance-id')
const linkFile = (dir) => join(dir, 'link.json')
const link = (dir) => (existsSync(linkFile(dir)) ? JSON.parse(readFileSync(linkFile(dir), 'utf8')) : null)
const erase = (dir) => rmSync(linkFile(dir), { force: true })

function keep(dir, file, text) {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  rmSync(`${file}.part`, { force: true })
  writeFileSync(`${file}.part`, text, { mode: 0o600, flag: 'wx' })
  renameSync(`${file}.part`, file) // whole or not at all: there is no second key
}

function ownId(dir) {
  if (!existsSync(idFile(dir))) keep(dir, idFile(dir), randomUUID())
  return readFileSync(idFile(dir), 'utf8')
}

function held(dir) {
  const found = link(dir)
  if (!found) throw new Error(`there is no link in ${dir}`)
  return found
}

// ---- enrolling

function readInvite(pasted) {
  const good = (is, why) => check(is, why, 'bad_invite')
  const text = pasted.replace(/\s+/g, '') // mail programs break the line
  good(text.length <= 64 * 1024, 'longer than 64 KiB')
  good(text.startsWith('mfi1.'), 'does not begin with mfi1.')
  const data = Buffer.from(text.slice(5), 'base64url')
  // Node passes over characters that it does not know.
  const strict = data.toString('base64url') === text.slice(5)
  good(strict, 'has characters that no invite has, or is not whole: ask for the whole line again')
  const message = data.subarray(0, -4)
  const whole = sha256(message).subarray(0, 4).equals(data.subarray(-4))
  good(whole, 'characters are missing or changed: ask for the whole line again')
  let invite
  try {
    invite = decode('mosaic.federation.v1.Invite', message)
    new X509Certificate(invite.root)
  } catch (error) {
    good(false, `holds no Invite with a root: ${error.message}`)
  }
  good(/^[0-9a-f]{64}$/.test(invite.token), 'its token is not in order')
  for (const list of ['addresses', 'enrol_addresses'])
    good(invite[list].length >= 1 && invite[list].length <= 16 && invite[list].every(isAddress), `its ${list} are not in order`)
  for (const id of ['instance_id', 'grant_id']) good(UUID.test(invite[id]), `its ${id} is not in order`)
  good(invite.tls_name === `${invite.instance_id}.mosaic-fed.internal`, 'its tls_name is not in order')
  good(invite.offer && invite.expires_at, 'says not what it offers or how long')
  return invite
}

function isAddress(address) {
  const [, port] = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(address) ?? []
  return port > 0 && port < 65536
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest()
const pem = (der) => new X509Certificate(der).toString()

/** One DER value with everything it holds; its length is written in one byte, or in two with 0x81. */
function der(tag, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from(body.length < 128 ? [tag, body.length] : [tag, 0x81, body.length]), body])
}

/** The values that stand one after the other in `bytes`. */
function* values(bytes) {
  while (bytes.length) {
    const more = bytes[1] & 0x80 ? bytes[1] & 0x7f : 0
    const start = 2 + more
    const end = start + (more ? bytes.readUIntBE(2, more) : bytes[1])
    yield { tag: bytes[0], value: bytes.subarray(start, end) }
    bytes = bytes.subarray(end)
  }
}

/** PKCS #10 with an empty subject and no attributes: it says nothing but the key. */
function certificateRequest({ publicKey, privateKey }) {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const said = der(0x30, [0x02, 0x01, 0x00], [0x30, 0x00], spki, [0xa0, 0x00])
  const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex')
  return der(0x30, said, ecdsaWithSha256, der(0x03, [0x00], sign('sha256', said, privateKey)))
}

function checkCertificate(bytes, invite, own, key) {
  let certificate, grant
  try {
    certificate = new X509Certificate(bytes)
    grant = extension(certificate, '2b06010401868d1f01') // 1.3.6.1.4.1.99999.1
  } catch (error) {
    check(false, `the certificate is not in form: ${error.message}`)
  }
  const root = new X509Certificate(invite.root)
  const now = new Date()
  const signed = certificate.checkIssued(root) && certificate.verify(root.publicKey)
  check(signed, "the certificate is not signed by the invite's root")
  check(new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo), 'the certificate is not valid now')
  check(certificate.checkPrivateKey(key), 'the certificate is for another key')
  const whose = `URI:spiffe://${invite.tls_name}/instance/${own}`
  check(certificate.subjectAltName === whose, 'the certificate is for another instance')
  check(grant?.equals(der(0x0c, Buffer.from(invite.grant_id))), 'the certificate is for another grant') // a UTF8String
}

/** What an extension holds. Node reads none but the well-known ones. */
function extension(certificate, oid) {
  const inner = (bytes) => [...values(bytes)]
  const [signed] = inner(inner(certificate.raw)[0].value)
  const [extensions] = inner(inner(signed.value).find(({ tag }) => tag === 0xa3).value)
  for (const { value } of inner(extensions.value)) {
    const parts = inner(value) // id, perhaps whether it is critical, content
    if (parts[0].value.toString('hex') === oid) return parts.at(-1).value
  }
}

// ---- what answers say

function time({ seconds, nanos }) {
  const micros = String(Math.floor(nanos / 1_000)).padStart(6, '0')
  return new Date(seconds * 1_000).toISOString().replace('.000Z', `.${micros}Z`)
}

/** A google.protobuf.Value, one of those in attributes. */
function plain({ kind, ...value }) {
  if (kind === 'nullValue') return null
  if (kind === 'listValue') return value.listValue.values.map(plain)
  return kind === 'structValue' ? struct(value.structValue) : value[kind]
}
const struct = ({ fields }) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]))

function row(item) {
  const { created_at, updated_at, tags, attributes, _title, _body, _team, _project, _owner, ...rest } = item
  return {
    ...rest,
    created_at: time(created_at),
    updated_at: time(updated_at),
    ...(tags.length && { tags }),
    ...(attributes && { attributes: struct(attributes) }),
  }
}

/** Whether a row is what was asked for, and after the one before it. Ids in the one spelling compare as their bytes do. */
function checkRow(item, resource, last) {
  check(item?.resource === resource, `a row of ${item?.resource} came`)
  check(UUID.test(item.id) && item.created_at && item.updated_at, 'a row has no id or no time')
  if (!last) return
  const places = [last, item].map(({ created_at: { seconds, nanos }, id }) => [seconds, nanos, id])
  const differs = [0, 1, 2].find((i) => places[0][i] !== places[1][i])
  check(differs !== undefined && places[0][differs] > places[1][differs], `row ${item.id} is out of order`)
}

const known = (names) => names.filter((name) => typeof name === 'string') // unknown ones are numbers: of a newer version

// ---- commands

const checkHealth = (channel, id) => ask(health.v1.Health, channel, 'Check', {}, id)

async function askCapabilities(channel, { grant_id }, id) {
  const asked = await ask(QueryService, channel, 'Capabilities', {}, id)
  check(asked.answer.grant_id === grant_id, 'the answer is about another grant')
  return asked
}

/** Prints the rows of one List after the row `last`: how many there were, the last one, and the token of the next page. */
async function page(channel, request, id, last) {
  const asked = begin(QueryService, channel, 'List', request, id, CALL_MS)
  let rows = 0
  let chunks = 0
  let end, as_of
  for await (const chunk of asked.call) {
    check(!end, 'a chunk came after the end')
    check(chunk.items.length || chunk.end, 'a chunk has no rows and is not the end')
    check(chunk.as_of, 'a chunk does not say when it was read')
    chunks += 1
    for (const item of chunk.items) {
      rows += 1
      check(rows <= (request.limit || 10_000), 'more rows than were asked for')
      checkRow(item, request.resource, last)
      last = item
      say('row', row(item))
    }
    ;({ end, as_of } = chunk)
  }
  check(end, 'the list came without its end')
  const { truncated, next_page_token } = end
  check(truncated === Boolean(next_page_token) && (rows || !truncated), 'the end of the list contradicts itself')
  say('page', { rows, chunks, truncated, as_of: time(as_of), request_id: asked.request_id })
  return { rows, last, token: next_page_token }
}

const commands = {
  async enroll({ human: file, state: dir }) {
    const human = JSON.parse(readFileSync(file, 'utf8'))
    const invite = readInvite(human.invite)
    const { instance_id, instance_name, grant_id, offer, expires_at } = invite
    const { grant_name, workspace, resources, subject } = offer
    const found = sha256(invite.root).toString('hex')
    const expected = human.fingerprint.replace(/\s+/g, '').toLowerCase()
    const offered = { instance_id, instance_name, grant_id, grant_name, workspace, resources, subject }
    say('invited', { ...offered, fingerprint: found, expires_at: time(expires_at) })
    if (found !== expected) throw new Ended('wrong_fingerprint', { expected, found })

    const { addresses, tls_name } = invite
    const root = pem(invite.root)
    const former = link(dir)
    // Whoever can write an invite must not be able to move a link: a fresh one comes from the same instance, with the same root.
    const renews = former?.grant_id === grant_id && former.instance_id === instance_id && former.root === root
    if (former && !renews) throw new Ended('occupied', { grant_id: former.grant_id })
    const own = ownId(dir)
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const words_nonce = randomBytes(32)
    const request = { token: invite.token, csr: certificateRequest(pair), instance_id: own, instance_name: human.name, words_nonce }
    const { answer } = await withLink({ addresses: invite.enrol_addresses, tls_name, instance_id, root }, (channel) =>
      ask(EnrolService, channel, 'Enroll', request),
    )
    check(answer.grant_id === grant_id, 'the answer is about another grant')
    const commitment = sha256(Buffer.concat([Buffer.from('mosaic-fed words commitment 1\0'), answer.words_opening]))
    check(commitment.equals(invite.words_commitment), 'what was added to the words is not what the invite binds to')
    checkCertificate(answer.certificate, invite, own, pair.privateKey)
    const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' })
    const certificate = pem(answer.certificate)
    keep(dir, linkFile(dir), JSON.stringify({ instance_id, grant_id, addresses, tls_name, root, certificate, key }))
    say('enrolled', { grant_id, instance_id: own, certificate_not_after: time(answer.certificate_not_after) })
  },

  async connect({ state, id }) {
    const kept = held(state)
    const request = { version_min: 1, version_max: 1 }
    const { answer, request_id } = await withLink(kept, (channel) => ask(ConnectService, channel, 'Connect', request, id))
    const { instance_id, instance_name, version, max_rows, rate } = answer
    check(instance_id === kept.instance_id, 'another instance answered')
    check(version === 1, `version ${version} was not offered`)
    const certificate_not_after = time(answer.certificate_not_after)
    const capabilities = known(answer.capabilities)
    say('connected', { instance_id, instance_name, version, capabilities, max_rows, rate, certificate_not_after, request_id })
  },

  async capabilities({ state, id }) {
    const kept = held(state)
    const { answer, request_id } = await withLink(kept, (channel) => askCapabilities(channel, kept, id))
    const { grant_id, grant_name, workspace, max_rows, rate, calls_left } = answer
    const resources = Object.fromEntries(answer.resources.map(({ resource, fields }) => [resource, fields]))
    const scope = { resources, verbs: known(answer.verbs), max_rows, rate, calls_left, not_after: time(answer.not_after) }
    say('capabilities', { grant_id, grant_name, workspace, ...scope, request_id })
  },

  async health({ state, id }) {
    const { answer, request_id } = await withLink(held(state), (channel) => checkHealth(channel, id))
    say('health', { status: answer.status, request_id })
  },

  async list({ state, id, kind, limit, body, all }) {
    await withLink(held(state), async (channel) => {
      const request = { resource: kind, limit, page_token: '', include_body: body }
      let pages = 0
      let rows = 0
      let last
      do {
        const done = await page(channel, request, pages ? undefined : id, last)
        pages += 1
        rows += done.rows
        last = done.last
        request.page_token = done.token
      } while (all && request.page_token)
      say('end', { pages, rows })
    })
  },

  async get({ state, id, kind, row: wanted }) {
    const request = { resource: kind, id: wanted }
    const { answer, request_id } = await withLink(held(state), (channel) => ask(QueryService, channel, 'Get', request, id))
    checkRow(answer.item, kind)
    check(answer.item.id === wanted && answer.as_of, 'another row came, or one without its time')
    say('row', row(answer.item))
    say('got', { as_of: time(answer.as_of), request_id })
  },

  async exhaust({ state, id, most }) {
    const kept = held(state)
    await withLink(kept, async (channel) => {
      let calls = 0
      let refused
      while (calls < most && !refused) {
        try {
          await askCapabilities(channel, kept, calls ? undefined : id)
          calls += 1
        } catch (error) {
          if (error.code !== grpc.status.RESOURCE_EXHAUSTED) throw error
          refused = failure(error)
          if (refused.keys.retry_after_ms == null) throw refused
        }
      }
      say('answered', { calls })
      if (!refused) return
      say(refused.event, refused.keys)
      const ms = refused.keys.retry_after_ms
      await sleep(ms + 1) // a timer of Node may be early by one
      say('waited', { ms })
      await askCapabilities(channel, kept)
      say('answered', { calls: 1 })
    })
  },

  async watch({ state, id }) {
    const kept = held(state)
    await withLink(kept, async (channel) => {
      const asked = begin(health.v1.Health, channel, 'Watch', {}, id)
      let watching = false
      let cut = { code: 'OK' }
      try {
        for await (const { status } of asked.call) {
          if (!watching) say('watching', { status, request_id: asked.request_id })
          watching = true
        }
      } catch (error) {
        if (!watching || !isCallError(error)) throw error
        cut = failure(error).keys
      }
      say('cut', { code: cut.code, reason: cut.reason ?? null })
    })
    try {
      await withLink(kept, (channel) => checkHealth(channel))
    } catch (error) {
      if (!isCallError(error)) throw error
      const { code, reason } = failure(error).keys
      say('turned_away', { code, reason: reason ?? null, detail: error.details })
      return 0
    }
    say('let_in')
    return EXIT.failed // the connection broke, and the link stands
  },

  async disconnect({ state, id }) {
    const kept = held(state)
    try {
      const asked = await withLink(kept, (channel) => ask(ConnectService, channel, 'Disconnect', {}, id))
      erase(state)
      say('disconnected', { revoked_at: time(asked.answer.revoked_at), request_id: asked.request_id })
    } catch (error) {
      if (!isCallError(error)) throw error
      // Whoever removes a link is rid of it even if nobody can be told. A refusal for the moment can be tried again.
      const ended = failure(error)
      if (ended.event === 'failed' || ended.keys.reason === 'NOT_PERMITTED') erase(state)
      if (ended.event === 'failed')
        tell('The other side could not be told: a grant that still stands stays until it ends by itself.')
      throw ended
    }
  },
}

// ---- the command line

function commandLine() {
  const text = { type: 'string' }
  const flag = { type: 'boolean', default: false }
  const extra = { enroll: { human: text }, list: { limit: text, body: flag, all: flag }, exhaust: { 'at-most': text } }
  const words = { list: ['kind'], get: ['kind', 'row'] }
  const [name, ...rest] = process.argv.slice(2)
  if (!Object.hasOwn(commands, name ?? '')) throw new Error(`commands: ${Object.keys(commands).join(', ')}`)
  const options = { state: text, ...(name !== 'enroll' && { 'request-id': text }), ...extra[name] }
  const { values: given, positionals } = parseArgs({ args: rest, options, allowPositionals: true })
  const wanted = words[name] ?? []
  if (positionals.length !== wanted.length) throw new Error(`${name} takes ${wanted.join(' and ') || 'no words'}`)
  for (const needed of name === 'enroll' ? ['state', 'human'] : ['state'])
    if (!given[needed]) throw new Error(`--${needed} is missing`)
  const count = (option, otherwise) => {
    const number = given[option] ?? otherwise
    if (!/^\d{1,10}$/.test(number) || Number(number) >= 2 ** 32) throw new Error(`--${option} is no number`)
    return Number(number)
  }
  const numbers = { limit: count('limit', 0), most: count('at-most', 200) }
  const named = Object.fromEntries(wanted.map((word, i) => [word, positionals[i]]))
  return [commands[name], { ...given, ...named, ...numbers, id: given['request-id'] }]
}

try {
  const [command, args] = commandLine()
  process.exitCode = (await command(args)) ?? 0
} catch (error) {
  const ended = isCallError(error) ? failure(error) : error
  if (ended instanceof Ended) say(ended.event, ended.keys)
  else tell(String(ended))
  process.exitCode = EXIT[ended.event] ?? 1
}
