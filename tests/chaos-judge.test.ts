import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeState } from '../src/index.ts'
import { type QueueName, type QueueTeller, queuesOf } from '../src/queues.ts'
import { History, type Operation } from '../src/testing/index.ts'
import { rowOf } from './chaos/all-rows.ts'
import type { Healed } from './chaos/chaos-messages.ts'
import { type ChaosPlan, LONG, SHORT } from './chaos/chaos-plan.ts'
import { NODES } from './chaos/ground.ts'
import { DEMANDS, type DemandName, isVoid, judge, type RowVerdict } from './chaos/judge.ts'
import { isAllowed } from './chaos/not-yet.ts'
import type { FaultSpan, KilledClient } from './chaos/observed.ts'
import { QueueDepths, type QueuePeaks } from './chaos/queue-depths.ts'
import { decisionOf } from './chaos/repeated-runs.ts'
import { RequestLog, type RequestRow } from './chaos/request-log.ts'
import { DEMANDED, type FaultRow } from './chaos/row.ts'
import type { RowName } from './chaos/row-names.ts'

const [INJECTED_MS, HEALED_MS, END_MS] = [1_000, 3_500, 6_500]
const GAP_MS = 3

/** Of the rows that have nodes at `maxmemory`. */
const SAW = { full: NODES.length, evicted: 3 }

type Answered = Partial<Pick<RequestRow, 'result' | 'tookMs' | 'lagMs' | 'kind' | 'code' | 'isSteady' | 'shard'>>

interface Run {
  readonly before?: Answered
  /** What happens to each request of the window; of an array, in turn. */
  readonly window?: Answered | readonly Answered[]
  readonly after?: Answered
  readonly windowGapMs?: number
  readonly events?: Readonly<Record<string, number>>
  readonly healed?: Partial<Healed>
  readonly lagMs?: { readonly before: number; readonly after: number }
  readonly loads?: readonly (readonly [number, number])[]
  readonly left?: readonly (readonly string[])[]
  readonly queues?: QueuePeaks
  readonly waiting?: readonly Readonly<Record<string, number>>[]
  readonly hintsLeft?: number
  readonly rssMb?: number
  readonly history?: readonly Operation[]
  readonly plan?: ChaosPlan
  readonly herded?: number
  readonly herdReads?: Readonly<Record<string, number>>
  readonly adopted?: number
  readonly killed?: readonly KilledClient[]
  readonly faults?: readonly FaultSpan[]
  /** What the client thinks of its nodes at the end; in place of `up`. */
  readonly states?: Readonly<Record<string, NodeState | 'gone'>>
}

/** What the judge says of a row in which everything else went well. */
function verdictOf(name: RowName, run: Run = {}): RowVerdict {
  const row = rowOf(name) as FaultRow
  const log = new RequestLog()
  const put = (dueMs: number, answered: Answered = {}): void => {
    const { result = 'hit', tookMs = 5, lagMs = 1, kind = 'read', code = '', isSteady = true, shard = 1 } = answered
    log.settle(log.due(dueMs, lagMs, kind, isSteady, shard), result, tookMs, code)
  }
  const windows = [run.window ?? {}].flat()
  for (let ms = 0; ms < INJECTED_MS; ms += GAP_MS) put(ms, ms === GAP_MS ? run.before : {})
  const gapMs = run.windowGapMs ?? GAP_MS
  for (let nth = 0; INJECTED_MS + nth * gapMs < HEALED_MS; nth++) put(INJECTED_MS + nth * gapMs, windows[nth % windows.length])
  for (let ms = HEALED_MS; ms < END_MS; ms += GAP_MS) put(ms, ms > HEALED_MS + 2_500 ? run.after : {})
  const peaks = {
    ...{ heapMb: 50, firstHeapMb: 50, externalMb: 10, firstExternalMb: 10, rssMb: run.rssMb ?? 100, firstRssMb: 100 },
    ...{ sockets: 10, firstSockets: 10, inFlight: 5 },
  }
  const { add = [], remove = [] } = row.clients?.do === 'change-ring' ? row.clients : {}
  const ids = [...NODES.map(({ id }) => id), ...add].filter((id) => !remove.includes(id))
  const states = { ...Object.fromEntries(ids.map((id) => [id, 'up' as const])), ...run.states }
  const nodes = Object.entries(states).flatMap(([id, state]) => (state === 'gone' ? [] : [{ id, state, upMs: undefined }]))
  const { herded = 0, herdReads = {}, queues = {} } = run
  const { adopted = 0, loads = [], events = { 'node:down': 1 } } = run
  return judge(row, { ...DEMANDED, evicting: row.setting?.full === true, ...row.demand }, run.plan ?? SHORT, {
    ...{
      loadMs: 0,
      injectedMs: INJECTED_MS,
      history: History.of(run.history ?? []),
      left: run.left ?? [[], []],
      waiting: run.waiting ?? [{}, {}],
      hintsLeft: run.hintsLeft ?? 0,
      killed: run.killed ?? [],
      ...(run.faults && { faults: run.faults }),
    },
    healed: { healedMs: HEALED_MS, lagMs: 1, hintsKept: 0, ...run.healed, saw: { ...SAW, ...run.healed?.saw } },
    lagMs: run.lagMs ?? { before: 1, after: 1 },
    reports: [{ requests: log.columns(), nodes, peaks, queues, loads, events, wallJumpMs: 0, adopted, herded, herdReads, messages: [] }],
  })
}

/** One in so many of the window's requests. */
const oneIn = (many: number, answered: Answered): Answered[] => [answered, ...Array.from({ length: many - 1 }, () => ({}))]
const misses = (name: RowName, run: Run): readonly DemandName[] => verdictOf(name, run).missed

test('a row in which everything went well is kept', () => {
  assert.deepEqual(verdictOf('node-stopped'), { ...verdictOf('node-stopped'), ok: true, missed: [], excused: [], why: '' })
})

test('a node that did not load, was not empty, had no old data or was not full when it was lost shows nothing of that', () => {
  const felt = (name: RowName, saw: Healed['saw'], before: Answered = {}) =>
    misses(name, { events: { 'node:down': 1, 'node:restarted': 1, 'cache:bypassed': 1 }, healed: { saw }, before })
  assert.deepEqual(felt('node-loading', { loading: 20 }), [])
  assert.deepEqual(felt('node-loading', { loading: 1 }), ['felt'])
  assert.deepEqual(felt('node-restarted-empty', { held: 1_200, holds: 3 }), [])
  assert.deepEqual(felt('node-restarted-empty', { held: 1_200, holds: 1_200 }), ['felt'])
  assert.deepEqual(felt('node-restarted-empty', { held: 3, holds: 3 }), ['felt'])
  assert.deepEqual(misses('node-restarted-empty', { healed: { saw: { held: 1_200, holds: 3 } } }), ['felt'])
  const written = { kind: 'write', isSteady: false, result: 'done' } as const
  assert.deepEqual(felt('node-restarted-from-old-snapshot', { restored: 1_200 }, written), [])
  assert.deepEqual(felt('node-restarted-from-old-snapshot', { restored: 0 }, written), ['felt'])
  assert.deepEqual(felt('node-restarted-from-old-snapshot', { restored: 1_200 }), ['felt'])
  for (const name of ['node-killed', 'two-nodes-killed', 'zone-killed', 'all-nodes-killed'] as const) {
    assert.deepEqual(felt(name, {}), [])
    assert.deepEqual(felt(name, { full: NODES.length - 1 }), ['felt'])
    assert.deepEqual(felt(name, { evicted: 0 }), name === 'all-nodes-killed' ? [] : ['felt'])
  }
})

test('a window that too few requests came in says nothing, and one that is never answered is not right', () => {
  assert.deepEqual(misses('node-stopped', { windowGapMs: 10 }), ['offered'])
  assert.deepEqual(misses('node-stopped', { window: oneIn(200, { result: 'unanswered' }) }), ['right', 'requests'])
})

test('a fault that nobody felt, and a failure before it, are no passes', () => {
  const even = { n1: 27, n2: 27, n3: 27, n4: 10, n5: 9 }
  assert.deepEqual(misses('node-stopped', { events: {} }), ['felt'])
  assert.deepEqual(misses('node-stopped', { before: { result: 'refused', code: 'X' } }), ['before'])
  // It was under way when the fault began, and is judged as what came later.
  assert.deepEqual(misses('node-stopped', { before: { result: 'refused', code: 'X', tookMs: 1_020 } }), ['requests'])
  assert.deepEqual(misses('hot-key-herd', { herdReads: even }), ['felt'])
  assert.deepEqual(misses('hot-key-herd', { herdReads: even, herded: 400, healed: { saw: { drops: 2 } } }), ['felt'])
  assert.deepEqual(misses('hot-key-herd', { herdReads: even, herded: 400, healed: { saw: { drops: 8 } } }), [])
  assert.deepEqual(misses('hot-key-herd', { herdReads: {}, herded: 400, healed: { saw: { drops: 8 } } }), ['felt'])
  assert.deepEqual(misses('cold-start', { healed: { saw: { held: 6_000 } } }), ['felt'])
  const loads = [[0, 0], [INJECTED_MS, 0], [HEALED_MS, 500]] as const // biome-ignore format: one line tells more
  assert.deepEqual(misses('cold-start', { loads }), ['felt'])
  assert.deepEqual(misses('cold-start', { loads, healed: { saw: { held: 6_000 } } }), [])
  assert.deepEqual(misses('process-killed-with-writes-pending', {}), ['felt'])
  assert.deepEqual(misses('process-killed-with-writes-pending', { adopted: 3 }), [])
  assert.deepEqual(misses('shard-slow', {}), ['felt'])
})

test('only a lag that was measured excuses, and only what depends on speed', () => {
  const late = oneIn(100, { kind: 'write', isSteady: false, result: 'refused', tookMs: 400, code: 'DEADLINE_EXCEEDED' })
  assert.deepEqual(verdictOf('node-stopped', { window: late }).excused, [])
  assert.deepEqual(verdictOf('node-stopped', { window: late, healed: { lagMs: 90 } }).excused, ['requests'])
  assert.deepEqual(verdictOf('node-stopped', { window: late, healed: { lagMs: 50 } }).excused, [])
  assert.deepEqual(verdictOf('node-stopped', { window: late, lagMs: { before: 90, after: 90 } }).excused, [])
  const broken = verdictOf('node-stopped', {
    window: oneIn(100, { kind: 'write', result: 'broken', code: 'TypeError' }),
    healed: { lagMs: 90 },
  })
  assert.deepEqual([broken.missed, broken.excused], [['right', 'requests'], ['requests']])
  assert.equal(isVoid(broken), false)
  const before = { result: 'refused', code: 'X' } as const
  assert.deepEqual(verdictOf('node-stopped', { before, lagMs: { before: 90, after: 1 } }).excused, ['before'])
  assert.deepEqual(verdictOf('node-stopped', { before, healed: { lagMs: 90 } }).excused, [])
  const after = { result: 'refused', code: 'X' } as const
  assert.deepEqual(verdictOf('node-stopped', { after }).missed, ['recovery'])
  assert.deepEqual(verdictOf('node-stopped', { after, lagMs: { before: 1, after: 90 } }).excused, ['recovery'])
  assert.deepEqual(verdictOf('node-stopped', { left: [['TCPSocketWrap'], []], healed: { lagMs: 90 } }).excused, [])
})

test('runs of a row: what cannot be the machine counts at once, the rest unless two of three keep everything', () => {
  const run = (missed: readonly DemandName[] = [], excused: readonly DemandName[] = []) => ({
    ...{ missed, excused, success: 0.99, recoveryMs: 2_500, stale: 1 },
  })
  const [kept, slow, spoilt] = [run(), run(['requests']), run(['requests'], ['requests'])]
  assert.equal(decisionOf([kept]), 'kept')
  for (const name of ['right', 'stale', 'lost', 'bounds'] as const)
    assert.equal(decisionOf([run([name, 'requests'], ['requests'])]), 'missed')
  assert.equal(decisionOf([slow]), 'again')
  assert.equal(decisionOf([slow, kept]), 'again')
  assert.equal(decisionOf([slow, kept, kept]), 'kept')
  assert.equal(decisionOf([slow, slow]), 'missed')
  assert.equal(decisionOf([slow, kept, slow]), 'missed')
  assert.equal(decisionOf([run(['felt']), run(['felt'])]), 'missed')
  assert.equal(decisionOf([run(['before']), run(['before'])]), 'missed')
  assert.equal(decisionOf([spoilt]), 'again')
  assert.equal(decisionOf([spoilt, kept]), 'kept')
  assert.equal(decisionOf([spoilt, spoilt, spoilt]), 'unmeasured')
  assert.equal(decisionOf([spoilt], {}, false), 'unmeasured')
  assert.equal(decisionOf([spoilt, kept], {}, false), 'kept')
  assert.equal(decisionOf([slow, spoilt, spoilt]), 'missed')
  // Where time has run out, what was missed once counts.
  assert.equal(decisionOf([slow], {}, false), 'missed')
  assert.equal(decisionOf([slow, kept], {}, false), 'missed')
  // What is known not to be kept is excused as far as is said, and nothing else.
  assert.equal(decisionOf([slow], { requests: 0.02 }), 'kept')
  assert.equal(decisionOf([slow, slow], { requests: 0.005 }), 'missed')
  assert.equal(decisionOf([run(['requests', 'offered']), run(['goodput'])], { requests: 0.02 }), 'missed')
})

test('what is known not to be kept is allowed up to its figure, and what is not one of failures, recovery or staleness never is', () => {
  const allowance = { requests: 0.1, recovery: 3_000, stale: 2 }
  const met = { missed: [], success: 0.95, recoveryMs: 2_900, stale: 2 }
  const allowed = (run: typeof met) => DEMANDS.filter((each) => isAllowed(run, each, allowance))
  assert.deepEqual(allowed(met), ['requests', 'recovery', 'stale'])
  assert.deepEqual(allowed({ ...met, success: 0.85 }), ['recovery', 'stale'])
  assert.deepEqual(allowed({ ...met, recoveryMs: 3_100 }), ['requests', 'stale'])
  assert.deepEqual(allowed({ ...met, stale: 3 }), ['requests', 'recovery'])
  assert.deepEqual(
    DEMANDS.filter((each) => isAllowed(met, each, {})),
    [],
  )
  // Of the real rows: database-silent refuses some, or all.
  const refused = { kind: 'read', result: 'refused', code: 'OVERLOADED', tookMs: 5 } as const
  const known = { requests: 0.03, recovery: 3_000 }
  const silent = (window: readonly Answered[]) => verdictOf('database-silent', { window, events: { 'store:failed': 1 } })
  assert.deepEqual(silent(oneIn(200, refused)).missed, ['requests'])
  assert.equal(decisionOf([silent(oneIn(200, refused))], known), 'kept')
  assert.equal(decisionOf([silent([refused]), silent([refused])], known), 'missed')
})

test('while a node is away, what others hold is answered by them, and as quickly', () => {
  const loaded = { result: 'loaded', tookMs: 990 } as const
  assert.deepEqual(misses('node-stopped', { window: loaded }), ['requests', 'spared'])
  assert.deepEqual(misses('node-stopped', { window: { result: 'loaded', tookMs: 20 } }), ['spared'])
  assert.deepEqual(misses('node-stopped', { window: oneIn(200, { result: 'loaded', tookMs: 20 }) }), [])
  assert.deepEqual(misses('node-killed', { window: oneIn(10, { result: 'loaded', tookMs: 20 }) }), ['spared'])
  assert.deepEqual(misses('node-killed', { window: oneIn(25, { result: 'loaded', tookMs: 600 }) }), [])
  assert.deepEqual(misses('all-nodes-killed', { window: loaded, events: { 'cache:bypassed': 1 } }), [])
  // What the change of a ring left behind is missed for as long as it is looked at.
  const left = { window: oneIn(20, { result: 'loaded', tookMs: 20 }), after: { result: 'loaded', tookMs: 20 } } as const
  assert.deepEqual(misses('node-added', { ...left, events: { 'topology:changed': 1 } }), ['spared'])
  const loads = [[0, 0], [INJECTED_MS, 10], [HEALED_MS, 400], [END_MS, 430]] as const // biome-ignore format: one line tells more
  assert.deepEqual(misses('node-added', { loads, events: { 'topology:changed': 1 } }), ['spared'])
})

test('of several faults each has to be recovered from in time, until the next begins', () => {
  // In a window of 2,500 ms a request in 200 fails, each 600 ms.
  const window = oneIn(200, { result: 'refused', code: 'X' })
  const faults = (healedMs: number, nextMs: number) => [
    { name: 'node-slow' as const, injectedMs: INJECTED_MS, healedMs },
    { name: 'node-killed' as const, injectedMs: nextMs, healedMs: HEALED_MS },
  ]
  const of = (healedMs: number, nextMs: number) =>
    verdictOf('node-stopped', { window, faults: faults(healedMs, nextMs), plan: { ...LONG, leastRequests: 400 } })
  assert.deepEqual(of(1_000, 3_450).missed, ['requests', 'recovery'])
  assert.match(of(1_000, 3_450).why, /still failing 2400 ms after node-slow was healed/)
  assert.deepEqual(of(1_500, 3_450).missed, ['requests'])
  assert.deepEqual(of(1_000, 3_300).missed, ['requests'])
})

test('what a killed client had answered counts, and what was under way in it does not', () => {
  const log = new RequestLog()
  log.due(INJECTED_MS - 2, 1, 'write', false, 0)
  log.settle(log.due(INJECTED_MS - 40, 1, 'write', false, 0), 'done', 50)
  const killed = (requests = log.columns()) =>
    verdictOf('process-killed-with-writes-pending', { adopted: 3, killed: [{ requests, killedMs: 1_010, replacedMs: 2_010 }] })
  assert.deepEqual([killed().missed, killed().requests], [[], verdictOf('node-stopped').requests + 1])
  assert.ok(
    killed().details.includes(
      'not counted: 1 requests under way in a client that was killed, and about 150 that were due before its successor could be asked',
    ),
  )
  log.settle(log.due(INJECTED_MS - 300, 1, 'read', true, 0), 'hit', 299)
  assert.deepEqual(killed().missed, ['before'])
  log.settle(log.due(INJECTED_MS - 20, 1, 'write', false, 0), 'refused', 30, 'X')
  assert.deepEqual(killed().missed, ['before', 'requests'])
  assert.deepEqual(misses('process-killed-with-writes-pending', { adopted: 3, windowGapMs: 10 }), ['offered'])
})

test('an overload is one: something is shed in time, the usual load is done, and nothing else goes wrong', () => {
  const usual = [{}, {}, {}, { kind: 'write', isSteady: false, result: 'done', tookMs: 300 }] as const
  const shed = { kind: 'write', isSteady: false, result: 'refused', code: 'OVERLOADED' } as const
  const overload = (...window: readonly Answered[]) => misses('overload-10x', { window, windowGapMs: 0.4, events: {} })
  assert.deepEqual(overload(...usual, shed), [])
  assert.deepEqual(overload(...usual), ['felt'])
  assert.deepEqual(overload(...usual, shed, { ...shed, tookMs: 1_100 }), ['requests'])
  assert.deepEqual(overload(...usual, shed, { ...shed, code: 'DEADLINE_EXCEEDED', tookMs: 1_000 }), ['requests'])
  assert.deepEqual(overload(...usual, shed, { tookMs: 1_100 }), ['requests'])
  assert.deepEqual(overload(...usual, shed, { result: 'unanswered' }), ['right', 'requests'])
  assert.deepEqual(overload(...usual, shed, { result: 'broken', code: 'TypeError' }), ['right', 'requests'])
  assert.deepEqual(overload(...usual, shed, { result: 'wrong' }), ['right', 'requests'])
  assert.deepEqual(overload(...usual, shed, { result: 'unsent' }, {}, {}, {}, {}, {}, {}), [])
  assert.deepEqual(overload(...usual, shed, { result: 'unsent' }), ['offered'])
  // All is refused, in time and typed, but for a few.
  assert.deepEqual(overload(...Array.from({ length: 99 }, () => shed), {}), ['goodput'])
})

test('a node that does not come back to every client is missed, however well others answer for it', () => {
  assert.deepEqual(misses('node-stopped', { states: { n1: 'down' } }), ['returned'])
  assert.deepEqual(misses('node-stopped', { states: { n3: 'returning' } }), ['returned'])
  assert.deepEqual(misses('node-stopped', { states: { n1: 'gone' } }), ['returned'])
  assert.deepEqual(verdictOf('node-stopped', { states: { n1: 'suspect' }, lagMs: { before: 1, after: 90 } }).excused, ['returned'])
  const change = (states: Run['states']) => misses('node-replaced', { events: { 'topology:changed': 1 }, ...(states && { states }) })
  assert.deepEqual(change(undefined), [])
  assert.deepEqual(change({ n1: 'up' }), ['returned'])
  assert.deepEqual(change({ n6: 'gone' }), ['returned'])
})

test("a herd is spread over its key's owners: no node answers far more than its part of a client's reads", () => {
  const herd = { herded: 400, healed: { saw: { drops: 8 } } }
  assert.deepEqual(misses('hot-key-herd', { ...herd, herdReads: { n1: 3_800, n2: 2_600, n3: 1_800, n4: 900, n5: 900 } }), [])
  // Not spread: the first owner has them all, or that of the client's zone.
  assert.deepEqual(misses('hot-key-herd', { ...herd, herdReads: { n1: 6_000, n2: 1_000, n3: 1_000, n4: 1_000, n5: 1_000 } }), ['bounds'])
  // Too few for the key to have been found.
  assert.deepEqual(misses('hot-key-herd', { ...herd, herdReads: { n1: 240, n2: 40, n3: 40, n4: 40, n5: 40 } }), [])
})

test('memory outside of the heap, and what a closed client leaves behind, are bounded', () => {
  assert.deepEqual(misses('node-stopped', { rssMb: 900 }), ['bounds'])
  assert.deepEqual(misses('node-stopped', { left: [['TCPSocketWrap'], []] }), ['bounds'])
  assert.match(verdictOf('node-stopped', { left: [[], ['Timeout']] }).why, /a closed client has 1 Timeout/)
})

test('a queue that was fuller than its options say, says another bound, or is not empty at rest counts against a row', () => {
  const full = { most: 16, bound: 16, stated: 16 }
  assert.deepEqual(misses('node-stopped', { queues: { storeUnderWay: full } }), [])
  const over = verdictOf('node-stopped', { queues: { storeUnderWay: { ...full, most: 17 } } })
  assert.deepEqual([over.missed, over.why], [['bounds'], 'a client had 17 in storeUnderWay, where 16 may be'])
  assert.match(verdictOf('node-stopped', { queues: { loads: { ...full, bound: 99 } } }).why, /says that 99 may be in loads, .* say 16$/)
  assert.match(verdictOf('node-stopped', { waiting: [{}, { hintsHeld: 3 }] }).why, /^at rest a client has 3 in hintsHeld$/)
  assert.match(verdictOf('node-stopped', { hintsLeft: 7 }).why, /^at rest a node keeps 7 hints/)
  assert.match(verdictOf('node-stopped', { healed: { hintsKept: 100_001 } }).why, /^a node kept 100001 hints/)
})

test('a queue is empty at rest once it was seen empty, whatever others do meanwhile; what stays by design is not looked at', async () => {
  const depths = new QueueDepths({ places: 5 })
  const turns: Partial<Record<QueueName, number>>[] = [{ probes: 2, loads: 1, loadsPaused: 9 }, { loads: 3 }, { probes: 4 }, {}]
  let turn = 0
  const see = () => {
    const now = turns[Math.min(turn++, turns.length - 1)]!
    const tellQueues: QueueTeller['tellQueues'] = (tell) => {
      for (const [name, depth] of Object.entries(now)) tell(name as QueueName, depth, 10)
    }
    return { metrics: { caches: {}, consistency: {}, queues: queuesOf([{ tellQueues }]) }, captures: [] }
  }
  assert.deepEqual(await depths.emptied(see, 2, async () => {}), { loads: 3 })
  assert.deepEqual(depths.peaks.loadsPaused, { most: 9, bound: 10, stated: 4_096 })
  turn = 0
  assert.deepEqual(await depths.emptied(see, 4, async () => {}), {})
  assert.equal(turn, 3)
})

test('in the long form the share of failures counts, and a void row has not passed', () => {
  const plan = { ...LONG, leastRequests: 400 }
  const once = oneIn(1_000, { result: 'refused', code: 'X' })
  assert.equal(verdictOf('node-stopped', { plan, window: once }).ok, false)
  const spoilt = verdictOf('node-stopped', { plan, window: once, healed: { lagMs: 90 } })
  assert.deepEqual([isVoid(spoilt), spoilt.ok], [true, false])
  assert.match(spoilt.why, /^void, for the proxies lagged by 90 ms/)
})

test('a read may be old for 2 s while there is a fault and shortly after, and for a tenth of a second before it and at rest', () => {
  const write = (value: number, atMs: number): Operation => ({
    ...{ process: 0, key: 'changing-1', kind: 'write', value, callMs: atMs, returnMs: atMs + 1, outcome: 'ok' },
  })
  const read = (value: number, atMs: number): Operation => ({
    ...{ process: 1, key: 'changing-1', kind: 'read', value, callMs: atMs, returnMs: atMs + 1, boundMs: 2_000, outcome: 'ok' },
  })
  const staleAt = (...history: Operation[]): number => verdictOf('node-stopped', { history }).stale
  const restMs = HEALED_MS + 2_000 + 2_000
  assert.equal(staleAt(write(1, 100), write(2, 200), read(1, 280)), 0)
  assert.equal(staleAt(write(1, 100), write(2, 200), read(1, 350)), 1)
  assert.equal(staleAt(write(1, 100), write(2, 200), read(1, INJECTED_MS + 100)), 0)
  assert.equal(staleAt(write(1, 100), write(2, HEALED_MS), read(1, HEALED_MS + 1_900)), 0)
  assert.equal(staleAt(write(1, 100), write(2, restMs - 200), read(1, restMs)), 1)
})
