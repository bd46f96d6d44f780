import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { violationText } from '../src/testing/index.ts'
import { RaceGround } from './races/race-ground.ts'
import { Scene } from './races/scene.ts'
import type { Protection } from './races/weakened-node.ts'

/** Each protection has a race that it alone decides: with it nothing is wrong, without it the checker says what is. */

let ground: RaceGround
before(async () => {
  ground = await RaceGround.prepare()
})
after(() => ground.stop())

const LIVE = { timeout: 60_000 }
/** Different keys lie on different nodes. */
const KEYS = 5

/** What each is needed for, played by two processes. */
const races: Readonly<Record<Protection, (scene: Scene) => Promise<void>>> = {
  async 'version-check'(scene) {
    const { stopped, release } = scene.stopAt(0, 'save')
    const first = scene.write(0)
    await stopped
    await scene.write(1)
    release()
    await first
    await scene.read(1)
  },
  async tombstone(scene) {
    const { stopped, release } = scene.stopAt(0, 'save')
    const late = scene.write(0)
    await stopped
    await scene.delete(1)
    release()
    await late
    await scene.read(1)
  },
  async 'lease-check'(scene) {
    await scene.write(1)
    await scene.evict()
    const { stopped, release } = scene.stopAt(0, 'load')
    const loading = scene.read(0)
    await stopped
    await scene.delete(1)
    await scene.evict()
    release()
    await loading
    await scene.leave(0)
    await scene.read(1)
  },
}

const FACTS: Readonly<Record<Protection, readonly [race: string, expected: string]>> = {
  'version-check': ['two writers whose commits and puts interleave leave the last committed row', 'stale'],
  tombstone: ['a put that comes late, after a delete, does not bring the row back', 'resurrected'],
  'lease-check': ['a load held while its row is deleted, and the tombstone then evicted, fills nothing', 'resurrected'],
}

async function verdictsOf(protection: Protection, without: Protection | undefined): Promise<{ kind: string; text: string }[]> {
  const found: { kind: string; text: string }[] = []
  for (let nth = 0; nth < KEYS; nth++) {
    const scene = await Scene.open(ground, `${protection}-${without === undefined ? 'on' : 'off'}-${nth}`, without)
    try {
      await races[protection](scene)
      for (const violation of await scene.verdict()) found.push({ kind: violation.kind, text: violationText(violation) })
    } finally {
      await scene.close()
    }
  }
  return found
}

for (const protection of ['version-check', 'tombstone', 'lease-check'] as const) {
  const [race, expected] = FACTS[protection]
  test(race, LIVE, async () => {
    assert.deepEqual(
      (await verdictsOf(protection, undefined)).map(({ text }) => text),
      [],
    )
  })

  test(`without the ${protection} that is reported as ${expected}, each time`, LIVE, async () => {
    const kinds = (await verdictsOf(protection, protection)).map(({ kind }) => kind)
    assert.equal(kinds.filter((kind) => kind === expected).length, KEYS, `reported: ${kinds.join(', ') || 'nothing'}`)
  })
}
