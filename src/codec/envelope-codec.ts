/**
 * The ordinary codec: serializer, compression, schema number and envelope come together here, once for each cache.
 *
 * A hit costs a look at the header, one checksum and the parse; what a hit does not need (version, load cost …) stays in the bytes until it
 * is asked for.
 */
import type { Clock } from '../clock.ts'
import type { EntryKind, Version } from '../entry.ts'
import { AdaptivePacker, type PackingCounts } from './adaptive-packer.ts'
import type { Codec, Decoded, EntryFields, Reason, Rejection } from './codec.ts'
import { type CheckedCodecOptions, type CodecOptions, checkedCodecOptions } from './codec-options.ts'
import { type Compression, noCompression, zstd } from './compression.ts'
import type { Dictionaries } from './dictionary.ts'
import {
  begunOf,
  codecOf,
  encodeEnvelope,
  FORMAT,
  freshUntilOf,
  graceOf,
  HEADER_BYTES,
  isRemoval,
  isSealed,
  kindOf,
  loadCostOf,
  MAGIC,
  OFFSET,
  payloadEndOf,
  payloadStartOf,
  stampVersion,
  versionOf,
} from './envelope.ts'
import { decodeMeta, encodeMeta, type Meta, NO_META, NO_META_BYTES } from './meta.ts'
import { serializeBriefly } from './serialize.ts'
import { validated } from './standard-schema.ts'

/** What a codec needs to pack by dictionaries, and to read what was packed so. */
export interface PackingParts {
  readonly dictionaries: Dictionaries
  readonly clock: Pick<Clock, 'monotonic'>
}

/**
 * @param what for messages: `cache 'product'` @param packing default: no dictionary is known, and entries that were packed by one are rejected
 * @throws ConfigurationError for an option that is not what it should be
 */
export function createCodec<V>(options: CodecOptions<V>, what: string, packing?: PackingParts): EnvelopeCodec<V> {
  return new EnvelopeCodec<V>(checkedCodecOptions(options, what), what, packing)
}

/** Below so many values nothing is gained by reading them together. */
const FEW = 4
/** Nor by values larger than this: what is spared is the same for each, and each is copied for it. */
const TOGETHER_BYTES = 1_024

export class EnvelopeCodec<V> implements Codec<V> {
  readonly enveloped = true
  readonly #options: CheckedCodecOptions<V>
  readonly #what: string
  /** By id: our own, and those that are always read. */
  readonly #compressions: readonly (Compression | undefined)[]
  readonly #schemaMeta: Uint8Array
  readonly #dictionaries: Dictionaries | undefined
  readonly #packer: AdaptivePacker | undefined

  /** Use `createCodec`. */
  constructor(options: CheckedCodecOptions<V>, what: string, packing: PackingParts | undefined) {
    this.#options = options
    this.#what = what
    const compressions: (Compression | undefined)[] = []
    for (const each of [noCompression(), zstd({ maxBytes: options.maxValueBytes }), options.compression]) compressions[each.id] = each
    this.#compressions = compressions
    this.#schemaMeta = encodeMeta({ ...NO_META, schema: options.schema })
    this.#dictionaries = packing?.dictionaries
    const { withDictionary } = options.compression
    if (withDictionary !== undefined && this.#dictionaries !== undefined) {
      this.#packer = new AdaptivePacker(withDictionary, this.#dictionaries, packing!.clock)
    }
  }

  /** undefined where values are not packed by dictionaries. */
  packing(): PackingCounts | undefined {
    return this.#packer?.counts()
  }

  encode(kind: EntryKind, value: V | undefined, fields: EntryFields): Uint8Array {
    const { serializer, compression, maxValueBytes } = this.#options
    // A pending removal is a pending entry without a payload, and so without a serializer.
    const carriesValue = kind === 'value' || (kind === 'pending' && value !== undefined)
    // Copied into the envelope, or packed, before anything else is serialized.
    const serialized = carriesValue ? serializeBriefly(value as V, serializer, maxValueBytes, this.#what) : NO_PAYLOAD
    // What the store does not have yet must be readable whatever becomes of dictionaries.
    const packed = kind === 'value' ? this.#packer?.pack(serialized) : undefined
    const isPlain = carriesValue && compression.id !== 0 && (this.#packer === undefined || kind !== 'value')
    const compressed = isPlain ? compression.compress(serialized) : packed?.bytes
    const header = {
      kind,
      codec: carriesValue ? serializer.id | ((compressed === undefined ? 0 : compression.id) << 4) : 0,
      version: fields.version,
      freshUntilMs: fields.freshUntilMs,
      graceMs: fields.graceMs,
      loadCostMs: fields.loadCostMs ?? 0,
      begun: fields.begun,
    }
    return encodeEnvelope(header, this.#metaOf(carriesValue, fields.tags, packed?.dictionary ?? 0), compressed ?? serialized)
  }

  stamp(bytes: Uint8Array, version: Version): void {
    stampVersion(bytes, version)
  }

  decode(bytes: Uint8Array): Decoded<V> | Rejection {
    if (bytes.length < HEADER_BYTES || bytes[OFFSET.magic] !== MAGIC) return FOREIGN
    if (bytes[OFFSET.format] !== FORMAT) return UNKNOWN_FORMAT
    const kind = kindOf(bytes)
    if (kind === 'tombstone' || kind === 'vacant') return new DecodedEntry<V>(kind, undefined, NO_META.tags, bytes)
    if (kind === undefined) return UNKNOWN_KIND
    if (!isSealed(bytes)) return BROKEN_SEAL
    const payloadStart = payloadStartOf(bytes)
    const carriesValue = kind !== 'negative' && !isRemoval(bytes)
    let meta = NO_META
    if (!this.#isUntaggedMeta(bytes, payloadStart)) {
      const judged = this.#judgeMeta(bytes, payloadStart, carriesValue)
      if ('rejected' in judged) return judged
      meta = judged
    }
    const { tags } = meta
    if (carriesValue) return this.#decodeValue(kind, meta, bytes, payloadStart)
    return payloadStart === payloadEndOf(bytes) ? new DecodedEntry<V>(kind, undefined, tags, bytes) : UNEXPECTED_PAYLOAD
  }

  decodeMany(all: readonly (Uint8Array | undefined)[]): (Decoded<V> | Rejection | undefined)[] {
    const decoded = new Array<Decoded<V> | Rejection | undefined>(all.length)
    const { serializer, validate } = this.#options
    const isTogether = all.length >= FEW && serializer.decodeMany !== undefined && validate === undefined
    const positions: number[] = []
    const bytes: Uint8Array[] = []
    const starts: number[] = []
    const ends: number[] = []
    for (let at = 0; at < all.length; at++) {
      const each = all[at]
      if (each === undefined) continue
      if (isTogether && this.#isPlainValue(each)) {
        positions.push(at)
        bytes.push(each)
        starts.push(payloadStartOf(each))
        ends.push(payloadEndOf(each))
      } else decoded[at] = this.decode(each)
    }
    const values = bytes.length < FEW ? undefined : serializer.decodeMany!(bytes, starts, ends)
    for (let nth = 0; nth < positions.length; nth++) {
      const each = bytes[nth]!
      decoded[positions[nth]!] = values === undefined ? this.decode(each) : new DecodedEntry('value', values[nth], NO_META.tags, each)
    }
    return decoded
  }

  lacking(bytes: Uint8Array): Promise<unknown> | undefined {
    if (this.#dictionaries === undefined || bytes.length < HEADER_BYTES) return undefined
    const meta = decodeMeta(bytes, HEADER_BYTES, Math.min(payloadStartOf(bytes), bytes.length))
    if (typeof meta === 'string' || meta.dictionary === 0 || this.#dictionaries.find(meta.dictionary) !== undefined) return undefined
    return this.#dictionaries.fetch(meta.dictionary)
  }

  #decodeValue(kind: EntryKind, { tags, dictionary }: Meta, bytes: Uint8Array, start: number): Decoded<V> | Rejection {
    const codec = codecOf(bytes)
    const { serializer, validate } = this.#options
    if ((codec & 0xf) !== serializer.id) return rejection('format', `serializer ${codec & 0xf}, not ${serializer.id} (${serializer.name})`)
    const compression = this.#compressions[codec >> 4]
    if (compression === undefined) return rejection('format', `compression ${codec >> 4}`)
    let value: V
    try {
      if (compression.id === 0) {
        value = serializer.decode(bytes, start, payloadEndOf(bytes))
      } else {
        const packedBy = dictionary === 0 ? undefined : this.#dictionaries!.find(dictionary)!.bytes
        const serialized = compression.decompress(bytes, start, payloadEndOf(bytes), packedBy)
        value = serializer.decode(serialized, 0, serialized.length)
      }
    } catch {
      return UNREADABLE_PAYLOAD
    }
    if (validate === undefined) return new DecodedEntry(kind, value, tags, bytes)
    const judged = validated(value, validate, this.#what)
    return judged.valid ? new DecodedEntry(kind, judged.value, tags, bytes) : rejection('invalid', judged.issues)
  }

  /** Whether it is a value of this cache with nothing about it to look at but the value itself: not packed, without tags. */
  #isPlainValue(bytes: Uint8Array): boolean {
    if (bytes.length < HEADER_BYTES || bytes[OFFSET.magic] !== MAGIC || bytes[OFFSET.format] !== FORMAT) return false
    if (kindOf(bytes) !== 'value' || codecOf(bytes) !== this.#options.serializer.id) return false
    const start = payloadStartOf(bytes)
    // The checksum last, for what is not read together is looked at once more.
    return payloadEndOf(bytes) - start <= TOGETHER_BYTES && this.#isUntaggedMeta(bytes, start) && isSealed(bytes)
  }

  /** Whether the meta is the one that this codec gives a value without tags: then there is nothing to parse. */
  #isUntaggedMeta(bytes: Uint8Array, payloadStart: number): boolean {
    const expected = this.#schemaMeta
    if (payloadStart - HEADER_BYTES !== expected.length) return false
    for (let at = 0; at < expected.length; at++) if (bytes[HEADER_BYTES + at] !== expected[at]) return false
    return true
  }

  #judgeMeta(bytes: Uint8Array, payloadStart: number, carriesValue: boolean): Meta | Rejection {
    const meta = decodeMeta(bytes, HEADER_BYTES, payloadStart)
    if (meta === 'corrupt') return CORRUPT_META
    if (meta === 'unknown') return UNKNOWN_META
    if (carriesValue && meta.schema !== this.#options.schema) {
      return rejection('schema', `schema ${meta.schema}, not ${this.#options.schema}`)
    }
    if (meta.dictionary === 0) return meta
    if (this.#dictionaries === undefined) return rejection('format', `dictionary ${meta.dictionary}`)
    if (this.#dictionaries.find(meta.dictionary) !== undefined) return meta
    // For whoever asks again: who can wait asks `lacking` for it.
    void this.#dictionaries.fetch(meta.dictionary)
    return rejection('dictionary', `dictionary ${meta.dictionary}`)
  }

  #metaOf(carriesValue: boolean, tags: readonly string[] | undefined, dictionary: number): Uint8Array {
    const hasTags = tags !== undefined && tags.length > 0
    if (!hasTags && dictionary === 0) return carriesValue ? this.#schemaMeta : NO_META_BYTES
    return encodeMeta({ schema: carriesValue ? this.#options.schema : 0, tags: hasTags ? tags : NO_META.tags, dictionary })
  }
}

/** The value first, as a hit needs it; the rest waits in the bytes. */
class DecodedEntry<V> implements Decoded<V> {
  readonly rejected = undefined
  readonly kind: EntryKind
  readonly value: V | undefined
  readonly tags: readonly string[]
  readonly freshUntilMs: number
  readonly #bytes: Uint8Array

  constructor(kind: EntryKind, value: V | undefined, tags: readonly string[], bytes: Uint8Array) {
    this.kind = kind
    this.value = value
    this.tags = tags
    this.freshUntilMs = freshUntilOf(bytes)
    this.#bytes = bytes
  }

  get version(): Version {
    return versionOf(this.#bytes)
  }

  get graceMs(): number {
    return graceOf(this.#bytes)
  }

  get loadCostMs(): number {
    return loadCostOf(this.#bytes)
  }

  get begun(): number {
    return begunOf(this.#bytes)
  }
}

function rejection(rejected: Reason, detail: string): Rejection {
  return { rejected, detail }
}

const NO_PAYLOAD = new Uint8Array(0)
const FOREIGN = Object.freeze(rejection('foreign', 'no header'))
const UNKNOWN_FORMAT = Object.freeze(rejection('format', `a format other than ${FORMAT}`))
const UNKNOWN_KIND = Object.freeze(rejection('corrupt', 'a kind that there is not'))
const BROKEN_SEAL = Object.freeze(rejection('corrupt', 'cut short, or a wrong checksum'))
const CORRUPT_META = Object.freeze(rejection('corrupt', 'lengths in its meta do not add up'))
const UNKNOWN_META = Object.freeze(rejection('format', 'a critical field of a later release'))
const UNEXPECTED_PAYLOAD = Object.freeze(rejection('corrupt', 'a payload where there is none'))
const UNREADABLE_PAYLOAD = Object.freeze(rejection('corrupt', 'a payload that does not decode'))
