/**
 * Foreign values: the serializer's bytes and nothing around them.
 *
 * For a team that moves over from another client and reads what it already has. Without an envelope there is no version, no grace and no
 * kind but a value: freshness is the node's time to live alone, and the last writer wins. Bytes that happen to begin like an envelope
 * are bytes like any other.
 */
import type { Entry, EntryKind } from '../entry.ts'
import { ConfigurationError, UnsupportedError } from '../errors.ts'
import type { Codec, Decoded, EntryFields, Rejection } from './codec.ts'
import { type CheckedCodecOptions, type CodecOptions, checkedCodecOptions } from './codec-options.ts'
import { serialize } from './serialize.ts'
import { validated } from './standard-schema.ts'

/**
 * @param what for messages: `cache 'product'`
 * @throws ConfigurationError for an option that is not what it should be, and for a compression or schema number: foreign bytes have no place to say so
 */
export function plainCodec<V>(options: CodecOptions<V>, what: string): Codec<V> {
  for (const name of ['compression', 'schema'] as const) {
    if (options[name] !== undefined) throw ConfigurationError.of(`${what}: ${name}`, 'to be left out where keys are plain', options[name])
  }
  return new PlainCodec<V>(checkedCodecOptions(options, what), what)
}

class PlainCodec<V> implements Codec<V> {
  readonly enveloped = false
  readonly #options: CheckedCodecOptions<V>
  readonly #what: string

  constructor(options: CheckedCodecOptions<V>, what: string) {
    this.#options = options
    this.#what = what
  }

  encode(kind: EntryKind, value: V | undefined, _fields: EntryFields): Uint8Array {
    if (kind !== 'value') throw new UnsupportedError(`${this.#what}: plain values have no envelope to say '${kind}' in`)
    return serialize(value as V, this.#options.serializer, this.#options.maxValueBytes, this.#what)
  }

  stamp(): void {}

  decode(bytes: Uint8Array): Decoded<V> | Rejection {
    let value: V
    try {
      value = this.#options.serializer.decode(bytes, 0, bytes.length)
    } catch {
      return UNREADABLE
    }
    const { validate } = this.#options
    if (validate === undefined) return { ...PLAIN_FIELDS, value }
    const judged = validated(value, validate, this.#what)
    return judged.valid ? { ...PLAIN_FIELDS, value: judged.value } : { rejected: 'invalid', detail: judged.issues }
  }

  /** Each alone: nothing says that one is whole. */
  decodeMany(all: readonly (Uint8Array | undefined)[]): (Decoded<V> | Rejection | undefined)[] {
    return all.map((bytes) => (bytes === undefined ? undefined : this.decode(bytes)))
  }
}

/** Fresh for as long as the node has it. */
const PLAIN_FIELDS: Omit<Entry<never>, 'value'> & { readonly rejected: undefined } = {
  rejected: undefined,
  kind: 'value',
  version: 0n,
  freshUntilMs: Number.POSITIVE_INFINITY,
  graceMs: 0,
  loadCostMs: 0,
  begun: 0,
  tags: [],
}

const UNREADABLE: Rejection = Object.freeze({ rejected: 'corrupt', detail: 'a value that does not decode' })
