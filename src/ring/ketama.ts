/**
 * Ketama: places keys exactly as libmemcached's weighted ketama and twemproxy's `distribution: ketama` with `hash: md5` do.
 *
 * For a team that moves over from them: the same key lies on the same server, so the cache stays warm. A server has 160 points (40 MD5s
 * of `label-i`, four points each) times its part of the total weight, and that product is taken in C's 32-bit floats, roundings included:
 * with some weights a server has four points more or fewer than exact arithmetic says. Where two servers share a point, twemproxy's order
 * decides, which is by length of label, then bytes (its configuration is sorted so, and glibc's qsort is stable); libmemcached takes the
 * server added first instead. As a part of the total, a server's points change a little with every other's weight, so a change of
 * members moves some keys between those that stay: where nothing has to be matched, `hashRing` is the better placement.
 * Sources: twemproxy's hashkit/nc_ketama.c, nc_conf.c and nc_server.c; libmemcached's hosts.cc.
 */
import { ConfigurationError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { checkedMembers } from './checked-members.ts'
import { Continuum, type PointList } from './continuum.ts'
import { md5Words } from './md5.ts'
import type { Placement, Ring, RingMember } from './ring.ts'

export interface KetamaOptions {
  /**
   * Two characters, such as `'{}'`: of a key with both, only what lies between counts (unless that is empty). What twemproxy calls
   * `hash_tag`. Default: none, the whole key counts.
   */
  readonly hashTag?: string | undefined
}

const POINTS_PER_SERVER = 160
const POINTS_PER_HASH = 4
const DEFAULT_PORT = ':11211'
const CIRCUMFERENCE = 2 ** 32

/**
 * Members are hashed by `label`, which must be what the other client was configured with: `host:port`, or the name where twemproxy's
 * configuration gives one. As in both, a label that ends in `:11211` is hashed without the port. Weights are whole numbers.
 * @throws ConfigurationError on an option that is unknown or not two ASCII characters
 */
export function ketamaRing(options: KetamaOptions = {}): Placement {
  knownOptions(options, 'ketamaRing', ['hashTag'])
  const { hashTag } = options
  if (hashTag !== undefined && !(typeof hashTag === 'string' && /^[\x21-\x7e]{2}$/.test(hashTag))) {
    throw ConfigurationError.of('ketamaRing: hashTag', "two characters of ASCII, such as '{}'", hashTag)
  }
  return Object.freeze({
    name: 'ketama',
    prepare: async () => {},
    build<M extends RingMember>(members: readonly M[], replicas: number): Ring<M> {
      const checked = checkedMembers(members, replicas, 'ketamaRing')
      return new Continuum<M>({
        members: checked,
        replicas,
        hashName: `ketama:${hashTag ?? ''}`,
        hash: hashTag === undefined ? hashOf : (key) => hashOf(tagged(key, hashTag)),
        circumference: CIRCUMFERENCE,
        points: pointsOf(checked),
      })
    },
  })
}

/** twemproxy takes 0 for an empty key instead of hashing it. */
function hashOf(key: string): number {
  return key === '' ? 0 : md5Words(key)[0]!
}

function tagged(key: string, hashTag: string): string {
  const start = key.indexOf(hashTag[0]!)
  const end = start < 0 ? -1 : key.indexOf(hashTag[1]!, start + 1)
  return end - start > 1 ? key.slice(start + 1, end) : key
}

function pointsOf(members: readonly RingMember[]): PointList {
  const labels = labelsOf(members)
  const totalWeight = members.reduce((sum, { id, weight }) => sum + wholeNumber(weight, `ketamaRing: weight of '${id}'`, 1, 2 ** 31 - 1), 0)
  if (totalWeight >= 2 ** 32) throw ConfigurationError.of('ketamaRing: weights', 'a sum below 2^32, as in C', totalWeight)
  const positions: number[] = []
  const owners: number[] = []
  for (const member of inLabelOrder(labels)) {
    const hashes = hashesOf(members[member]!.weight, totalWeight, members.length)
    for (let i = 0; i < hashes; i++) {
      positions.push(...md5Words(`${labels[member]}-${i}`))
      for (let point = 0; point < POINTS_PER_HASH; point++) owners.push(member)
    }
  }
  return { positions: Float64Array.from(positions), owners: Uint32Array.from(owners) }
}

/**
 * `floorf((float)(pct * 160 / 4 * (float)servers + 0.0000000001))` with `float pct = (float)weight / (float)total`. C rounds to a float
 * after each operation but the last addition, which is of doubles.
 */
function hashesOf(weight: number, totalWeight: number, servers: number): number {
  const part = Math.fround(Math.fround(weight) / Math.fround(totalWeight))
  const ofOne = Math.fround(Math.fround(part * POINTS_PER_SERVER) / POINTS_PER_HASH)
  return Math.floor(Math.fround(Math.fround(ofOne * Math.fround(servers)) + 0.0000000001))
}

function labelsOf(members: readonly RingMember[]): string[] {
  const labels = members.map(({ id, label = id }) => (label.endsWith(DEFAULT_PORT) ? label.slice(0, -DEFAULT_PORT.length) : label))
  for (const [index, label] of labels.entries()) {
    if (label === '') throw ConfigurationError.of('ketamaRing: a label', 'a host before the port', members[index]!.label)
    if (labels.indexOf(label) !== index) throw ConfigurationError.of('ketamaRing: labels', 'labels that differ', label)
  }
  return labels
}

function inLabelOrder(labels: readonly string[]): number[] {
  const bytes = labels.map((label) => Buffer.from(label))
  return labels.map((_, index) => index).sort((a, b) => bytes[a]!.length - bytes[b]!.length || Buffer.compare(bytes[a]!, bytes[b]!))
}
